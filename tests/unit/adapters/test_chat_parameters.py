"""The merged parameters in each provider's words, and the names of those that it has none for."""

from __future__ import annotations

from typing import Any

import pytest

from imrs_server.adapters.chat import parameters
from imrs_server.domain.chat import ChatMessage, ToolCall
from imrs_server.domain.parameters import Parameters
from tests.support.chat_shapes import access, request

OPENAI = "https://api.openai.com/v1"
CLAUDE = access("https://api.anthropic.com/v1", "anthropic")
ALL = Parameters(
    temperature=0.5,
    top_p=0.9,
    max_output_tokens=100,
    stop=("END",),
    extra={"seed": 7.0, "top_k": 40.0, "user": "u-1", "frequency_penalty": 0.25},
)
PLAIN = {"temperature": 0.5, "top_p": 0.9, "stop": ["END"]}

# Dialect, address, model; the parameters; what is sent; what is dropped.
OPENAI_LIKE: list[tuple[str, str, str, Parameters, dict[str, Any], list[str]]] = [
    ("openai", OPENAI, "gpt-4o", Parameters(), {}, []),
    ("openai", OPENAI, "gpt-4o", Parameters(stop=()), {}, []),
    (
        "openai",
        OPENAI,
        "gpt-4o",
        ALL,
        PLAIN | {"max_completion_tokens": 100, "seed": 7, "user": "u-1", "frequency_penalty": 0.25},
        ["extra.top_k"],
    ),
    (
        "openai",
        OPENAI,
        "o3-mini",
        ALL,
        {"max_completion_tokens": 100, "seed": 7, "user": "u-1"},
        ["temperature", "top_p", "stop", "extra.top_k", "extra.frequency_penalty"],
    ),
    ("openai", OPENAI, "gpt-5-mini", Parameters(temperature=0.5), {}, ["temperature"]),
    ("openai", OPENAI, "gpt-5-mini", Parameters(temperature=1), {"temperature": 1}, []),
    ("openai", OPENAI, "gpt-5-chat-latest", Parameters(temperature=0.5), {"temperature": 0.5}, []),
    ("openai", OPENAI, "gpt-5.2", Parameters(temperature=0.5), {"temperature": 0.5}, []),
    (
        "openai",
        OPENAI,
        "gpt-5.2",
        Parameters(temperature=0.5, extra={"reasoning_effort": "high"}),
        {"reasoning_effort": "high"},
        ["temperature"],
    ),
    (
        "openai",
        OPENAI,
        "gpt-4o",
        Parameters(stop=("1", "2", "3", "4", "5")),
        {"stop": ["1", "2", "3", "4"]},
        ["stop"],
    ),
    # A copy of OpenAI under another address takes any word, and the limit under its old name.
    (
        "openai",
        "https://llm.example.com/v1",
        "o3-mini",
        ALL,
        PLAIN | {"max_tokens": 100, "seed": 7, "top_k": 40, "user": "u-1", "frequency_penalty": 0.25},
        [],
    ),
    ("custom", "https://llm.example.com/v1", "m", Parameters(max_output_tokens=5), {"max_tokens": 5}, []),
    ("vllm", "https://llm.example.com", "m", Parameters(extra={"min_p": 0.1}), {"min_p": 0.1}, []),
    ("ollama", "https://llm.example.com", "m", Parameters(max_output_tokens=5), {"max_tokens": 5}, []),
    ("openrouter", "https://openrouter.ai/api/v1", "x/y", Parameters(extra={"top_k": 5.0}), {"top_k": 5}, []),
    ("together", "https://api.together.xyz/v1", "x/y", Parameters(extra={"top_k": 5.0}), {"top_k": 5}, []),
    (
        "mistral",
        "https://api.mistral.ai/v1",
        "m",
        ALL,
        PLAIN | {"max_tokens": 100, "random_seed": 7, "frequency_penalty": 0.25},
        ["extra.top_k", "extra.user"],
    ),
    (
        "groq",
        "https://api.groq.com/openai/v1",
        "m",
        ALL,
        PLAIN | {"max_completion_tokens": 100, "seed": 7, "user": "u-1", "frequency_penalty": 0.25},
        ["extra.top_k"],
    ),
    (
        "cohere",
        "https://api.cohere.com/v1",
        "m",
        ALL,
        PLAIN | {"max_tokens": 100, "seed": 7, "frequency_penalty": 0.25},
        ["extra.top_k", "extra.user"],
    ),
    (
        "gemini",
        "https://generativelanguage.googleapis.com/v1beta",
        "m",
        ALL,
        PLAIN | {"max_tokens": 100, "seed": 7, "frequency_penalty": 0.25},
        ["extra.top_k", "extra.user"],
    ),
    (
        "azure",
        "https://x.openai.azure.com",
        "our-chat",
        ALL,
        PLAIN | {"max_tokens": 100, "seed": 7, "user": "u-1", "frequency_penalty": 0.25},
        ["extra.top_k"],
    ),
]


@pytest.mark.parametrize(("dialect", "url", "model", "given", "sent", "dropped"), OPENAI_LIKE)
def test_openai_and_its_copies(
    dialect: str, url: str, model: str, given: Parameters, sent: dict[str, Any], dropped: list[str]
) -> None:
    wanted = request(external_id=model, parameters=given)

    assert parameters.for_openai(access(url, dialect), wanted) == (sent, dropped)


ANTHROPIC: list[tuple[str, Parameters, dict[str, Any], list[str]]] = [
    ("claude-sonnet-4-5", Parameters(), {"max_tokens": 4096}, []),
    ("claude-sonnet-4-5", Parameters(max_output_tokens=9), {"max_tokens": 9}, []),
    (
        "claude-sonnet-4-5",
        ALL,
        {
            "max_tokens": 100,
            "temperature": 0.5,
            "stop_sequences": ["END"],
            "top_k": 40,
            "metadata": {"user_id": "u-1"},
        },
        ["top_p", "extra.seed", "extra.frequency_penalty"],
    ),
    ("claude-sonnet-4-5", Parameters(top_p=0.9), {"max_tokens": 4096, "top_p": 0.9}, []),
    ("claude-sonnet-4-5", Parameters(temperature=1.5), {"max_tokens": 4096}, ["temperature"]),
    (
        "claude-3-5-haiku-20241022",
        Parameters(temperature=0.0),
        {"max_tokens": 4096, "temperature": 0.0},
        [],
    ),
    ("claude-opus-4-20250514", Parameters(temperature=1), {"max_tokens": 4096, "temperature": 1}, []),
    (
        "claude-opus-4-7",
        Parameters(temperature=0.5, top_p=0.9, extra={"top_k": 5.0}),
        {"max_tokens": 4096},
        ["temperature", "top_p", "extra.top_k"],
    ),
    ("claude-sonnet-5", Parameters(top_p=0.5), {"max_tokens": 4096}, ["top_p"]),
    (
        "claude-sonnet-4-5",
        Parameters(temperature=0.5, extra={"thinking": {"type": "enabled", "budget_tokens": 1024.0}}),
        {"max_tokens": 4096, "thinking": {"type": "enabled", "budget_tokens": 1024}},
        ["temperature"],
    ),
    ("claude-sonnet-4-5", Parameters(stop=(" ", "\n")), {"max_tokens": 4096}, ["stop"]),
    (
        "claude-sonnet-4-5",
        Parameters(extra={"metadata": {"trace": "x"}, "parallel_tool_calls": False}),
        {"max_tokens": 4096},
        ["extra.metadata", "extra.parallel_tool_calls"],
    ),
    (
        "claude-sonnet-4-5",
        Parameters(extra={"output_config": "json"}),
        {"max_tokens": 4096},
        ["extra.output_config"],
    ),
]


@pytest.mark.parametrize(("model", "given", "sent", "dropped"), ANTHROPIC)
def test_anthropic(model: str, given: Parameters, sent: dict[str, Any], dropped: list[str]) -> None:
    wanted = request(external_id=model, parameters=given)

    assert parameters.for_anthropic(CLAUDE, wanted) == (sent, dropped)


def test_anthropics_newer_version_takes_no_sampling_at_all() -> None:
    provider = access("https://api.anthropic.com/v1", "anthropic", api_version="2026-10-21")
    given = Parameters(temperature=1, top_p=1, extra={"top_k": 5.0, "output_config": {"effort": "low"}})

    body, dropped = parameters.for_anthropic(provider, request(parameters=given))

    assert body == {"max_tokens": 4096, "output_config": {"effort": "low"}}
    assert dropped == ["temperature", "top_p", "extra.top_k"]


CALLED = ChatMessage(role="assistant", tool_calls=(ToolCall(id="a", name="weather", arguments="{}"),))
SUNNY = ChatMessage(role="tool", content="sunny", tool_call_id="a")
ASKED = ChatMessage(role="user", content="How is it?")


@pytest.mark.parametrize(
    ("talk", "kind", "sent"),
    [
        ((ASKED,), "enabled", True),
        ((ASKED, CALLED, SUNNY), "enabled", False),
        ((ASKED, CALLED, SUNNY), "adaptive", True),
        ((ASKED, CALLED, SUNNY, ChatMessage(role="assistant", content="Fine"), ASKED), "enabled", True),
    ],
    ids=["at first", "after tools", "as it likes", "after an answer"],
)
def test_claude_is_not_told_to_think_where_what_it_thought_before_is_missing(
    talk: tuple[ChatMessage, ...], kind: str, *, sent: bool
) -> None:
    thinking = {"type": kind, "budget_tokens": 1024}
    given = Parameters(temperature=0.5, extra={"thinking": thinking})

    body, dropped = parameters.for_anthropic(CLAUDE, request(messages=talk, parameters=given))

    if sent:
        assert (body["thinking"], dropped) == (thinking, ["temperature"])
    else:
        assert (body, dropped) == ({"max_tokens": 4096, "temperature": 0.5}, ["extra.thinking"])


def test_an_answer_is_at_most_what_the_model_can_write() -> None:
    wanted = request(parameters=Parameters(max_output_tokens=100_000), max_output_tokens=8192)

    assert parameters.for_openai(access(OPENAI), wanted)[0] == {"max_completion_tokens": 8192}
    assert parameters.for_anthropic(CLAUDE, wanted)[0] == {"max_tokens": 8192}
    assert parameters.for_openai(access(OPENAI), request(max_output_tokens=8192))[0] == {}
    assert parameters.for_anthropic(CLAUDE, request(max_output_tokens=8192))[0] == {"max_tokens": 8192}


@pytest.mark.parametrize(
    "name",
    ["model", "messages", "stream", "stream_options", "n", "tools", "max_tokens", "temperature", "stop"],
)
@pytest.mark.parametrize("dialect", ["openai", "custom", "vllm", "anthropic"])
def test_extra_replaces_nothing_that_has_a_field_of_its_own(name: str, dialect: str) -> None:
    wanted = request(parameters=Parameters(extra={name: 2.0}))

    if dialect == "anthropic":
        body, dropped = parameters.for_anthropic(CLAUDE, wanted)
        assert body == {"max_tokens": 4096}
    else:
        body, dropped = parameters.for_openai(access("https://llm.example.com/v1", dialect), wanted)
        assert body == {}
    assert dropped == [f"extra.{name}"]


def test_azure_knows_a_reasoning_model_by_the_base_of_its_deployment() -> None:
    provider = access("https://x.openai.azure.com", "azure", deployments={"ours": "o4-mini"})
    wanted = request(external_id="ours", parameters=Parameters(temperature=0.5, max_output_tokens=9))

    assert parameters.for_openai(provider, wanted) == ({"max_completion_tokens": 9}, ["temperature"])


def test_whole_numbers_of_a_struct_are_integers() -> None:
    assert parameters.exact({"a": 1.0, "b": [2.0, {"c": 0.5}], "d": 1e300, "e": True, "f": "1.0"}) == {
        "a": 1,
        "b": [2, {"c": 0.5}],
        "d": 1e300,
        "e": True,
        "f": "1.0",
    }
    assert isinstance(parameters.exact(1.0), int)
