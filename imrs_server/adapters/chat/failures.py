"""What a provider's error means: everybody has their own statuses, codes and words for the same few things.

Shapes: OpenAI and its copies ``{"error": {"message", "type", "code"}}``; Anthropic ``{"type": "error",
"error": {"type", "message"}}``; Google ``[{"error": {"code", "status", "message", "details"}}]``; OpenRouter
with ``metadata.raw`` of whoever it called; Ollama ``{"error": "text"}``; Mistral, Cohere and vLLM
``{"message", "type", "code"}``; frameworks ``{"detail"}``.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from imrs_server.adapters import json_stream
from imrs_server.adapters.failures import CallFailed, CutOff, TimedOut, Unreachable, Untrusted, Unusable
from imrs_server.adapters.retry_after import wait_seconds
from imrs_server.domain.chat import ChatFailure, FailureKind

if TYPE_CHECKING:
    from collections.abc import Mapping

    from imrs_server.adapters.network import Deadline
    from imrs_server.domain.secret import Secret

BODY_BYTES = 64 << 10
"""As much of an error's body is read."""

_SAID_CHARACTERS = 500
_WORDS_CHARACTERS = 4_000
_KEY_PIECE = 8
_SHOWN = "***"

_CONTEXT = re.compile(
    r"context_length|context length|context window|context limit|context size|maximum context|exceed_context"
    r"|(?:prompt|input) is too long|too many (?:input )?tokens|input token count|string_above_max_length"
    r"|request_too_large|reduce the length|too large for model|inputs?`? tokens \+"
)
_REFUSED = re.compile(
    r"content_filter|content_policy|content policy|content management policy|content filtering|responsibleai"
    r"|prohibited_content|data_inspection_failed|requires moderation|(?:was|been) flagged|invalid_prompt"
    r"|safety system"
)
_NO_MODEL = re.compile(
    r"model_not_found|model_not_available|model_decommissioned|invalid_model|deploymentnotfound|no such model"
    r"|(?:invalid|unknown|unrecognized) model(?: name|:)|no endpoints found for|not_found_error.{0,80}\bmodel"
    r"|\bmodel \S{1,200} (?:does not exist|was not found|not found|is not found|has been decommissioned)"
)
# With a status that says "not found" it takes less to know what; elsewhere this may be about a tool.
_ABOUT_MODEL = re.compile(
    r"\b(?:model|deployment)s?\b.{0,200}(?:not exist|not found|not available|no longer|decommissioned)"
)
_UNFIT = re.compile(r"\bsupport")
_BAD_KEY = re.compile(r"api_key_invalid|invalid_api_key|(?:invalid|incorrect) api.?key|api key not valid")
_SPENT = re.compile(
    r"insufficient_quota|spend_limit_reached|credit balance|billing_(?:error|hard_limit|not_active)"
    r"|your billing|billing details|insufficient (?:credit|balance|funds)"
)
_BUSY = re.compile(r"overload|over capacity|no capacity|server is busy|engine is currently")

# The status that stands for the type of an error that comes without one, in the middle of an answer.
_STATUSES = {
    "authentication_error": 401,
    "billing_error": 402,
    "insufficient_quota": 429,
    "invalid_request_error": 400,
    "not_found_error": 404,
    "overloaded_error": 529,
    "permission_error": 403,
    "rate_limit_error": 429,
    "rate_limit_exceeded": 429,
    "request_too_large": 413,
    "timeout_error": 504,
}
_DETAILS = {
    FailureKind.TIMEOUT: "it did not answer in time",
    FailureKind.RATE_LIMITED: "too many calls",
    FailureKind.OVERLOADED: "it is overloaded, or has a failure of its own",
    FailureKind.CONTEXT_TOO_LONG: "the conversation is longer than the model can read",
    FailureKind.CONTENT_REFUSED: "it refuses the content",
    FailureKind.AUTH: "it refuses the key",
    FailureKind.BAD_REQUEST: "the request is not what it understands",
    FailureKind.NOT_FOUND: "it does not have this model",
    FailureKind.INVALID_RESPONSE: "its answer cannot be used",
}
_SPENT_DETAIL = "its account has no credit left"
_LOST_DETAIL = "it has nothing at this address; see api_base and models_endpoint"


@dataclass(frozen=True, slots=True)
class _Told:
    """``words`` is everything to look for something in, lower case; ``message`` is for people."""

    words: str = ""
    message: str = ""
    status: int | None = None


def of_answer(status: int, headers: Mapping[str, str], body: bytes, key: Secret | None) -> ChatFailure:
    """The failure that an answer with another status than 200 is."""
    told = _read(_parsed(body), body)
    kind, is_spent = _judged(status, told.words)
    again = not is_spent and headers.get("x-should-retry") != "false"
    wait = wait_seconds(_waits(status, headers), body, datetime.now(UTC))
    return _failure(kind, told, key, status=status, is_spent=is_spent, again=again, wait=wait)


def of_error(error: Any, key: Secret | None) -> ChatFailure:
    """The failure that an error inside a good answer is: a document, or an event of a stream."""
    told = _read(error, b"")
    status = told.status or 500
    kind, is_spent = _judged(status, told.words)
    return _failure(kind, told, key, status=None, is_spent=is_spent, again=not is_spent)


def of_call(failure: CallFailed, deadline: Deadline) -> ChatFailure:
    """The failure that no answer, or a broken one, is."""
    if isinstance(failure, TimedOut) or deadline.remaining() <= 0:
        return ChatFailure(FailureKind.TIMEOUT, _DETAILS[FailureKind.TIMEOUT], status=failure.status)
    if isinstance(failure, Unreachable | CutOff):
        again = not isinstance(failure, Untrusted)
        return ChatFailure(FailureKind.NETWORK, failure.detail, status=failure.status, again=again)
    return ChatFailure(FailureKind.INVALID_RESPONSE, failure.detail, status=failure.status)


def _failure(
    kind: FailureKind,
    told: _Told,
    key: Secret | None,
    *,
    status: int | None,
    is_spent: bool,
    again: bool,
    wait: float | None = None,
) -> ChatFailure:
    shown = f" (HTTP {status})" if status is not None else ""
    failure = ChatFailure(
        kind,
        _detail(kind, status, is_spent=is_spent) + shown,
        # What is said of a key tends to show a piece of it.
        said="" if kind is FailureKind.AUTH else said(told.message, key),
        status=status,
        retry_after_seconds=wait,
    )
    failure.again = failure.again and again
    return failure


def _detail(kind: FailureKind, status: int | None, *, is_spent: bool) -> str:
    if is_spent:
        return _SPENT_DETAIL
    is_lost = kind is FailureKind.INVALID_RESPONSE and status in (404, 405)
    return _LOST_DETAIL if is_lost else _DETAILS[kind]


def _judged(status: int, words: str) -> tuple[FailureKind, bool]:
    """The kind of failure, and whether it is for want of money."""
    is_spent = status == 402 or (status in (400, 403, 429) and _SPENT.search(words) is not None)
    return _kind(status, words, is_spent=is_spent), is_spent


def _kind(status: int, words: str, *, is_spent: bool) -> FailureKind:
    if is_spent:
        return FailureKind.RATE_LIMITED
    if status in (401, 403):
        refused = status == 403 and _REFUSED.search(words) is not None
        return FailureKind.CONTENT_REFUSED if refused else FailureKind.AUTH
    if status in (408, 504):
        return FailureKind.TIMEOUT
    if status == 413:
        return FailureKind.CONTEXT_TOO_LONG
    if status == 429:
        return FailureKind.OVERLOADED if _BUSY.search(words) else FailureKind.RATE_LIMITED
    if 400 <= status < 500 and status != 498:
        return _of_request(status, words)
    if status >= 400:
        # A server of one's own says 500 to what does not fit.
        return FailureKind.CONTEXT_TOO_LONG if _CONTEXT.search(words) else FailureKind.OVERLOADED
    return FailureKind.INVALID_RESPONSE


def _of_request(status: int, words: str) -> FailureKind:
    for pattern, kind in (
        (_BAD_KEY, FailureKind.AUTH),
        (_CONTEXT, FailureKind.CONTEXT_TOO_LONG),
        (_REFUSED, FailureKind.CONTENT_REFUSED),
        (_NO_MODEL, FailureKind.NOT_FOUND),
    ):
        if pattern.search(words):
            return kind
    if status in (404, 410) and _ABOUT_MODEL.search(words):
        return FailureKind.NOT_FOUND
    # Alone they speak of a wrong address: no reason to take a model for gone, and no fault of a caller.
    is_lost = status in (404, 405) and _UNFIT.search(words) is None
    return FailureKind.INVALID_RESPONSE if is_lost else FailureKind.BAD_REQUEST


def _waits(status: int, headers: Mapping[str, str]) -> Mapping[str, str]:
    """The headers that say when to come back; limits that are not used up are named in every answer."""
    if status == 429:
        return headers
    return {name: headers[name] for name in ("retry-after", "retry-after-ms") if name in headers}


def _parsed(body: bytes) -> Any:
    try:
        return json_stream.parse(body)
    except Unusable:
        return None


def _read(value: Any, body: bytes) -> _Told:
    if isinstance(value, list) and value:
        value = value[0]
    if not isinstance(value, dict):
        # No words of a page for people: a proxy's, whose style sheets say anything.
        is_page = body.lstrip()[:1] == b"<"
        text = "" if is_page else body[:_WORDS_CHARACTERS].decode("utf-8", "replace")
        return _Told(text.lower(), text)
    error = value.get("error", value)
    if not isinstance(error, dict):
        return _Told(str(error)[:_WORDS_CHARACTERS].lower(), str(error))
    message = error.get("message") or error.get("detail") or error.get("msg") or ""
    text = message if isinstance(message, str) else str(message)
    kinds = [error.get(name) for name in ("type", "code", "status")]
    inner = [error.get(name) for name in ("innererror", "metadata", "details")]
    words = " ".join(str(each)[:_WORDS_CHARACTERS] for each in (*kinds, text, *inner) if each)
    return _Told(words.lower(), text, _status(kinds))


def _status(kinds: list[Any]) -> int | None:
    for each in kinds:
        if isinstance(each, int) and 400 <= each < 600:
            return each
        if isinstance(each, str) and each in _STATUSES:
            return _STATUSES[each]
    return None


def said(message: str, key: Secret | None) -> str:
    """What a provider says, on one line and cut, without the key; nothing where a piece of it is left."""
    message = message[:_WORDS_CHARACTERS]
    if key is not None:
        value = key.reveal()
        message = message.replace(value, _SHOWN)
        lowered, low = message.lower(), value.lower()
        pieces = (low[at : at + _KEY_PIECE] for at in range(max(1, len(low) - _KEY_PIECE + 1)))
        if any(piece in lowered for piece in pieces):
            return ""
    printable = "".join(each if each.isprintable() else " " for each in message)
    return " ".join(printable.split())[:_SAID_CHARACTERS]
