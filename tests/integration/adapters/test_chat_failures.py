"""Every kind of failure, before the first piece of an answer and after it."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import TYPE_CHECKING

import pytest

from imrs_server.adapters import chat
from imrs_server.domain.chat import (
    ChatFailure,
    FailureKind,
    TokenUsage,
)
from tests.support import chat_shapes as shapes
from tests.support import provider as act
from tests.support.chat_shapes import KEY, delta, message_start, named, sse, text_block
from tests.support.chats import CLIENT, fails, text_of
from tests.support.provider import FakeProvider
from tests.support.tcp_relay import nobody

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.provider import Behaviour


@pytest.fixture
def upstream() -> Iterator[FakeProvider]:
    with FakeProvider(b"{}") as provider:
        yield provider


# By kind: what makes it, in OpenAI's shape and in Anthropic's.
def said(status: int, kind: str, message: str = "no") -> Behaviour:
    told = {"error": {"message": message, "type": kind, "code": kind, "param": None}}
    return act.answer(json.dumps(told).encode(), status=status)


def anthropic_said(status: int, kind: str, message: str = "no") -> Behaviour:
    told = {"type": "error", "error": {"type": kind, "message": message}, "request_id": "req_1"}
    return act.answer(json.dumps(told).encode(), status=status)


FIRST: list[tuple[FailureKind, str, Behaviour]] = [
    (FailureKind.RATE_LIMITED, "openai", said(429, "rate_limit_exceeded")),
    (FailureKind.RATE_LIMITED, "anthropic", anthropic_said(429, "rate_limit_error")),
    (FailureKind.OVERLOADED, "openai", said(503, "server_error", "The engine is currently overloaded")),
    (FailureKind.OVERLOADED, "anthropic", anthropic_said(529, "overloaded_error", "Overloaded")),
    (FailureKind.CONTEXT_TOO_LONG, "openai", said(400, "context_length_exceeded")),
    (
        FailureKind.CONTEXT_TOO_LONG,
        "anthropic",
        anthropic_said(400, "invalid_request_error", "prompt is too long: 210000 tokens > 200000 maximum"),
    ),
    (FailureKind.CONTENT_REFUSED, "openai", said(400, "content_filter")),
    (
        FailureKind.CONTENT_REFUSED,
        "anthropic",
        anthropic_said(400, "invalid_request_error", "Output blocked by content filtering policy"),
    ),
    (FailureKind.AUTH, "openai", said(401, "invalid_api_key", f"Incorrect API key provided: {KEY[:14]}***")),
    (FailureKind.AUTH, "anthropic", anthropic_said(401, "authentication_error", "invalid x-api-key")),
    (FailureKind.BAD_REQUEST, "openai", said(400, "invalid_request_error", "'temperature' is no number")),
    (FailureKind.BAD_REQUEST, "anthropic", anthropic_said(400, "invalid_request_error", "tools.0: no name")),
    (FailureKind.NOT_FOUND, "openai", said(404, "model_not_found", "The model `m` does not exist")),
    (FailureKind.NOT_FOUND, "anthropic", anthropic_said(404, "not_found_error", "model: m")),
    (FailureKind.TIMEOUT, "openai", act.fail(504)),
    (FailureKind.TIMEOUT, "anthropic", anthropic_said(504, "timeout_error")),
    (FailureKind.NETWORK, "openai", shapes.broken_off(b"")),
    (FailureKind.NETWORK, "anthropic", lambda handler: handler.raw(b"")),
    (FailureKind.NETWORK, "openai", shapes.stream(sse(delta(role="assistant"), end=b""))),
    (FailureKind.INVALID_RESPONSE, "openai", act.answer(b"<!doctype html><h1>Sign in</h1>")),
    (FailureKind.INVALID_RESPONSE, "openai", act.answer(b"<h1>Sign in</h1>", kind="text/html")),
    (FailureKind.INVALID_RESPONSE, "openai", act.answer(b"{}")),
    (FailureKind.INVALID_RESPONSE, "openai", act.answer(b"[]")),
    (FailureKind.INVALID_RESPONSE, "anthropic", act.answer(b"{}")),
    (FailureKind.INVALID_RESPONSE, "openai", shapes.stream(b"data: [DONE]\n\n")),
    (FailureKind.INVALID_RESPONSE, "openai", shapes.stream(b"data: {nonsense}\n\n")),
    (FailureKind.INVALID_RESPONSE, "openai", shapes.stream(b"data: 5\n\n")),
    (FailureKind.INVALID_RESPONSE, "anthropic", shapes.stream(b"event: message_start\ndata: [1]\n\n")),
    (FailureKind.INVALID_RESPONSE, "openai", shapes.stream(b"data: " + b"[" * 100_000 + b"\n\n")),
    (FailureKind.INVALID_RESPONSE, "openai", act.fail(302, location="https://elsewhere.example/")),
    (FailureKind.INVALID_RESPONSE, "openai", act.gzip_bomb),
    (FailureKind.INVALID_RESPONSE, "anthropic", shapes.stream(named({"type": "message_stop"}))),
]


@pytest.mark.parametrize(
    ("kind", "dialect", "behaviour"),
    FIRST,
    ids=[f"{kind}-{dialect}-{number}" for number, (kind, dialect, _) in enumerate(FIRST)],
)
def test_every_kind_of_failure_before_the_first_piece(
    upstream: FakeProvider, kind: FailureKind, dialect: str, behaviour: Behaviour
) -> None:
    failure, came = fails(upstream, behaviour, dialect=dialect)

    assert (failure.kind, failure.cause) == (kind, kind)
    assert came == []
    # One call, whatever it brought: who asked decides about the next.
    assert len(upstream.requests) == 1


BEGUN = sse(delta("partly"), end=b"")
ANTHROPIC_BEGUN = named(message_start(input_tokens=11, output_tokens=1), *text_block(0, "partly"))

MID_STREAM: list[tuple[FailureKind, str, Behaviour]] = [
    (FailureKind.NETWORK, "openai", shapes.broken_off(BEGUN)),
    (FailureKind.NETWORK, "openai", shapes.stream(BEGUN)),
    (FailureKind.NETWORK, "anthropic", shapes.broken_off(ANTHROPIC_BEGUN)),
    (FailureKind.NETWORK, "anthropic", shapes.stream(ANTHROPIC_BEGUN)),
    (FailureKind.TIMEOUT, "openai", shapes.stalled(BEGUN)),
    (FailureKind.TIMEOUT, "anthropic", shapes.kept_open(ANTHROPIC_BEGUN, named({"type": "ping"}))),
    (
        FailureKind.OVERLOADED,
        "openai",
        shapes.stream(BEGUN + sse({"error": {"code": 502, "message": "Provider returned error"}})),
    ),
    (
        FailureKind.RATE_LIMITED,
        "openai",
        shapes.stream(BEGUN + sse({"error": {"type": "rate_limit_exceeded", "message": "slow down"}})),
    ),
    (
        FailureKind.OVERLOADED,
        "openai",
        shapes.stream(BEGUN + b'event: error\ndata: {"message": "worker died"}\n\n'),
    ),
    (FailureKind.OVERLOADED, "openai", shapes.stream(BEGUN + sse(delta(finish_reason="error")))),
    (
        FailureKind.CONTEXT_TOO_LONG,
        "openai",
        shapes.stream(BEGUN + sse({"object": "error", "message": "maximum context length", "code": 400})),
    ),
    (
        FailureKind.OVERLOADED,
        "anthropic",
        shapes.stream(
            ANTHROPIC_BEGUN
            + named({"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}})
        ),
    ),
    (
        FailureKind.OVERLOADED,
        "anthropic",
        shapes.stream(
            ANTHROPIC_BEGUN + named({"type": "error", "error": {"type": "api_error", "message": "Oh"}})
        ),
    ),
    (FailureKind.INVALID_RESPONSE, "openai", shapes.stream(BEGUN + b"data: {nonsense\n\n")),
    (FailureKind.INVALID_RESPONSE, "openai", shapes.stream(BEGUN + b"data: \xff\xfe\n\n")),
    (FailureKind.INVALID_RESPONSE, "anthropic", shapes.stream(ANTHROPIC_BEGUN + b"data: NaN\n\n")),
]


@pytest.mark.parametrize(
    ("cause", "dialect", "behaviour"),
    MID_STREAM,
    ids=[f"{cause}-{dialect}-{number}" for number, (cause, dialect, _) in enumerate(MID_STREAM)],
)
def test_every_kind_of_failure_in_the_middle_of_an_answer(
    upstream: FakeProvider, cause: FailureKind, dialect: str, behaviour: Behaviour
) -> None:
    # Only who goes silent is given little time, and only from there on.
    rest_seconds = 0.5 if cause is FailureKind.TIMEOUT else None
    failure, came = fails(upstream, behaviour, dialect=dialect, rest_seconds=rest_seconds)

    assert failure.kind is FailureKind.MID_STREAM
    assert failure.cause is cause
    assert text_of(came) == "partly"
    if dialect == "anthropic":
        # What was charged by then is not lost; how much was said it would have counted at the end.
        assert failure.usage == TokenUsage(prompt_tokens=11)


def test_what_was_charged_before_the_first_piece_is_not_lost(upstream: FakeProvider) -> None:
    error = {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}
    body = named(message_start(input_tokens=11, output_tokens=1), error)

    failure, _ = fails(upstream, shapes.stream(body), dialect="anthropic")

    assert failure.kind is FailureKind.OVERLOADED
    assert failure.usage == TokenUsage(prompt_tokens=11, completion_tokens=1)


# By what is said: the headers, and how long that is; the wait until a date shrinks meanwhile.
DATE_SECONDS = 50
WAITS: dict[str, tuple[dict[str, str], float]] = {
    "seconds": ({"retry-after": "7"}, 7),
    "milliseconds": ({"retry-after-ms": "1500", "retry-after": "9"}, 1.5),
    "a date": ({"retry-after": "DATE"}, DATE_SECONDS),
    "too long": ({"retry-after": "86400"}, 60),
    "a limit that is used up": (
        {"x-ratelimit-remaining-requests": "0", "x-ratelimit-reset-requests": "6s"},
        6,
    ),
}


@pytest.mark.parametrize("manner", WAITS)
@pytest.mark.parametrize("dialect", ["openai", "anthropic"])
def test_when_to_come_back_is_passed_on(upstream: FakeProvider, manner: str, dialect: str) -> None:
    headers, seconds = WAITS[manner]
    date = format_datetime(datetime.now(UTC) + timedelta(seconds=DATE_SECONDS), usegmt=True)
    named = {name: value.replace("DATE", date) for name, value in headers.items()}

    failure, _ = fails(upstream, act.answer(b"{}", status=429, headers=named), dialect=dialect)

    assert failure.kind is FailureKind.RATE_LIMITED
    assert failure.again
    late_seconds = 30 if manner == "a date" else 0
    assert failure.retry_after_seconds is not None
    assert seconds - late_seconds <= failure.retry_after_seconds <= seconds


def test_a_server_that_is_down_names_its_own_wait_and_not_that_of_a_limit(upstream: FakeProvider) -> None:
    limits = {"x-ratelimit-remaining-requests": "99", "x-ratelimit-reset-requests": "6s"}

    failure, _ = fails(upstream, act.answer(b"{}", status=503, headers=limits))
    assert failure.retry_after_seconds is None

    failure, _ = fails(upstream, act.answer(b"{}", status=503, headers={**limits, "retry-after": "3"}))
    assert failure.retry_after_seconds == 3


def test_no_one_listens() -> None:
    with nobody() as address:
        access = shapes.access(f"http://{address}/v1")
        with pytest.raises(ChatFailure) as caught:
            list(chat.stream(CLIENT, access, shapes.request(), CLIENT.deadline(60)))

    assert caught.value.kind is FailureKind.NETWORK
    assert caught.value.again


def test_a_forbidden_address_is_not_called() -> None:
    for url in ("http://169.254.169.254/v1", "https://10.0.0.1/v1", "ftp://example.com", "nonsense"):
        with pytest.raises(ChatFailure) as caught:
            list(chat.stream(CLIENT, shapes.access(url), shapes.request(), CLIENT.deadline(5)))
        assert caught.value.kind is FailureKind.NETWORK
        assert not caught.value.again


def test_what_a_provider_says_is_passed_on_without_the_key(upstream: FakeProvider) -> None:
    failure, _ = fails(upstream, said(400, "invalid_request_error", f"no\nsuch tool; key {KEY}, told"))
    assert failure.said == "no such tool; key ***, told"
    assert failure.detail == "the request is not what it understands (HTTP 400)"

    failure, _ = fails(upstream, said(400, "invalid_request_error", f"key {KEY[:12]}... is odd"))
    assert failure.said == ""

    failure, _ = fails(upstream, said(400, "invalid_request_error", "x" * 100_000))
    assert len(failure.said) == 500
