"""The parameters of a call in the words of each provider; what one has no word for is left out and named.

A provider that refuses words it does not know has a list of those it knows; the others take any.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from imrs_server.adapters.providers.azure import deployments_of
from imrs_server.adapters.providers.dialect import text_option

if TYPE_CHECKING:
    from imrs_server.adapters.providers.dialect import Access
    from imrs_server.domain.chat import ChatRequest


@dataclass(frozen=True, slots=True, kw_only=True)
class Vocabulary:
    """What one OpenAI-compatible provider understands.

    ``limit`` is its word for the most tokens of the answer, ``stops`` how many stop sequences it takes,
    ``extra`` the further words it knows (None: any), ``renamed`` its own words for OpenAI's. ``counts`` is
    whether it must be asked for the usage of a stream, ``names`` whether speakers may have names,
    ``required`` its word for the tool choice `required`, ``details`` whether it can be told how closely
    to look at an image.
    """

    limit: str = "max_tokens"
    stops: int | None = None
    extra: frozenset[str] | None = None
    renamed: Mapping[str, str] = field(default_factory=dict)
    counts: bool = True
    names: bool = True
    required: str = "required"
    details: bool = True


_PENALTIES = frozenset({"frequency_penalty", "presence_penalty"})
_OPENAI_WORDS = _PENALTIES | {
    "audio",
    "logit_bias",
    "metadata",
    "modalities",
    "parallel_tool_calls",
    "prediction",
    "prompt_cache_key",
    "prompt_cache_retention",
    "reasoning_effort",
    "safety_identifier",
    "seed",
    "service_tier",
    "store",
    "user",
    "verbosity",
    "web_search_options",
}
_OPENAI = Vocabulary(limit="max_completion_tokens", stops=4, extra=_OPENAI_WORDS)
_AZURE = Vocabulary(stops=4, extra=_OPENAI_WORDS | {"data_sources"})
_COPY = Vocabulary()
_VOCABULARIES: dict[str, Vocabulary] = {
    "azure": _AZURE,
    "cohere": Vocabulary(stops=5, extra=_PENALTIES | {"reasoning_effort", "seed"}, counts=False, names=False),
    "gemini": Vocabulary(stops=5, extra=_PENALTIES | {"extra_body", "reasoning_effort", "seed"}),
    "groq": Vocabulary(
        limit="max_completion_tokens",
        stops=4,
        extra=_PENALTIES
        | {
            "citation_options",
            "documents",
            "include_reasoning",
            "parallel_tool_calls",
            "reasoning_effort",
            "reasoning_format",
            "search_settings",
            "seed",
            "service_tier",
            "user",
        },
        names=False,
    ),
    # Of an image it reads the address, and nothing else.
    "ollama": Vocabulary(details=False),
    "mistral": Vocabulary(
        extra=_PENALTIES
        | {
            "metadata",
            "parallel_tool_calls",
            "prediction",
            "prompt_mode",
            "random_seed",
            "reasoning_effort",
            "safe_prompt",
        },
        renamed={"seed": "random_seed"},
        counts=False,
        names=False,
        required="any",
    ),
}

# Named by fields of their own, or of no use: only one answer is read, and no log probabilities.
_RESERVED = frozenset(
    {
        "function_call",
        "functions",
        "logprobs",
        "max_completion_tokens",
        "max_tokens",
        "messages",
        "model",
        "n",
        "response_format",
        "stop",
        "stop_sequences",
        "stream",
        "stream_options",
        "system",
        "temperature",
        "tool_choice",
        "tools",
        "top_logprobs",
        "top_p",
    }
)

_REASONING = re.compile(r"(?:o[1-9]|gpt-5)(?!\.)(?!-chat)(?![a-z0-9])")
_REASONING_AT_WILL = re.compile(r"gpt-5\.\d")
_SAMPLING = frozenset({"temperature", "top_p", "stop", "logit_bias", *_PENALTIES})

_CLAUDE_WORDS = frozenset(
    {
        "cache_control",
        "container",
        "context_management",
        "inference_geo",
        "mcp_servers",
        "metadata",
        "output_config",
        "service_tier",
        "thinking",
        "top_k",
    }
)
# From Opus 4.7 and the generation after 4 on: any sampling parameter is an error.
_CLAUDE_UNSAMPLED = re.compile(r"claude-[a-z]+-(?:4-(?:[7-9]|\d\d)|[5-9]|\d\d)(?!\d)")
# From this version of the API on it is an error of every model.
_UNSAMPLED_VERSION = "2026-10-21"
_CLAUDE_LIMIT = 4_096
_MOST_EXACT = 1 << 53


def vocabulary_of(access: Access) -> Vocabulary:
    """What a provider behind an OpenAI-compatible door understands."""
    provider = access.provider
    if urlsplit(provider.api_base).hostname == "api.openai.com":
        return _OPENAI
    return _VOCABULARIES.get(provider.dialect, _COPY)


def for_openai(access: Access, request: ChatRequest) -> tuple[dict[str, Any], list[str]]:
    """The members that OpenAI and its copies take, and what is left out."""
    vocabulary = vocabulary_of(access)
    given = request.parameters
    body: dict[str, Any] = {}
    dropped: list[str] = []
    reasons = vocabulary in (_OPENAI, _AZURE) and _is_reasoning(access, request)
    for name, value in (("temperature", given.temperature), ("top_p", given.top_p)):
        _put(body, dropped, name, value, known=not reasons or value == 1)
    limit = _limit(request)
    if limit is not None:
        body["max_completion_tokens" if reasons else vocabulary.limit] = limit
    if given.stop:
        _put_stops(body, dropped, given.stop, 0 if reasons else vocabulary.stops)
    for key, value in given.extra.items():
        name = vocabulary.renamed.get(key, key)
        known = name not in _RESERVED and (vocabulary.extra is None or name in vocabulary.extra)
        _put(body, dropped, name, exact(value), known=known and not (reasons and name in _SAMPLING), of=key)
    return body, dropped


def for_anthropic(access: Access, request: ChatRequest) -> tuple[dict[str, Any], list[str]]:
    """The members that Anthropic takes, and what is left out.

    The limit is required there: the model's own where none is given. A temperature ends at 1 there.
    """
    given = request.parameters
    dropped: list[str] = []
    body: dict[str, Any] = {"max_tokens": _limit(request) or request.max_output_tokens or _CLAUDE_LIMIT}
    forgot = _forgot_thought(request)
    thinks = _is_thinking(given.extra.get("thinking")) and not forgot
    unsampled = text_option(access, "api_version") >= _UNSAMPLED_VERSION
    sampled = not (thinks or unsampled or _CLAUDE_UNSAMPLED.search(request.external_id))
    temperature = given.temperature
    _put(body, dropped, "temperature", temperature, known=sampled and (temperature or 0) <= 1)
    # The two together are an error of most models.
    _put(body, dropped, "top_p", given.top_p, known=sampled and temperature is None)
    if given.stop:
        # White space alone is an error.
        stops = [each for each in given.stop if each.strip()]
        if len(stops) < len(given.stop):
            dropped.append("stop")
        if stops:
            body["stop_sequences"] = stops
    for key, value in given.extra.items():
        if key == "user" and isinstance(value, str):
            body["metadata"] = {"user_id": value, **body.get("metadata", {})}
        elif key != "parallel_tool_calls" or not request.tools:
            known = key in _CLAUDE_WORDS and (key != "top_k" or sampled) and _fits(key, value)
            known = known and not (key == "thinking" and forgot)
            _put(body, dropped, key, exact(value), known=known, of=key)
    return body, dropped


def _fits(key: str, value: Any) -> bool:
    """OpenAI's `metadata` holds anything, Anthropic's only the user."""
    if key == "output_config":
        return isinstance(value, dict)
    return key != "metadata" or (isinstance(value, dict) and set(value) <= {"user_id"})


def exact(value: Any) -> Any:
    """The value with whole numbers as such: a Struct has no integers, and `seed` 42.0 is refused."""
    if isinstance(value, float) and value.is_integer() and abs(value) < _MOST_EXACT:
        return int(value)
    if isinstance(value, dict):
        return {key: exact(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [exact(each) for each in value]
    return value


def _put(
    body: dict[str, Any], dropped: list[str], name: str, value: Any, *, known: bool, of: str | None = None
) -> None:
    if value is None:
        return
    if known:
        body[name] = value
    else:
        dropped.append(name if of is None else f"extra.{of}")


def _put_stops(body: dict[str, Any], dropped: list[str], stops: tuple[str, ...], most: int | None) -> None:
    taken = stops if most is None else stops[:most]
    if len(taken) < len(stops):
        dropped.append("stop")
    if taken:
        body["stop"] = list(taken)


def _limit(request: ChatRequest) -> int | None:
    """The wanted limit, at most the model's: more is an error of many providers."""
    wanted, most = request.parameters.max_output_tokens, request.max_output_tokens
    return min(wanted, most) if wanted is not None and most is not None else wanted


def _is_reasoning(access: Access, request: ChatRequest) -> bool:
    """Whether the model thinks before it speaks, and so refuses to be sampled otherwise."""
    name = deployments_of(access).get(request.external_id, request.external_id)
    if _REASONING.match(name):
        return True
    effort = request.parameters.extra.get("reasoning_effort", "none")
    return _REASONING_AT_WILL.match(name) is not None and effort != "none"


def _forgot_thought(request: ChatRequest) -> bool:
    """Whether Claude would miss what it thought before it called tools.

    Where it was told how much to think, a turn that goes on after its tool calls must begin with its thoughts
    as they were. Nobody has them: they are not passed on. Without `thinking` the turn goes on.
    """
    thinking = request.parameters.extra.get("thinking")
    if not isinstance(thinking, dict) or thinking.get("type") != "enabled":
        return False
    last = next((each for each in reversed(request.messages) if each.role == "assistant"), None)
    return last is not None and bool(last.tool_calls)


def _is_thinking(value: Any) -> bool:
    return isinstance(value, dict) and value.get("type") in ("enabled", "adaptive")
