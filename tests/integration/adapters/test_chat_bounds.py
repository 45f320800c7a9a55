"""Chats with providers that are slow, endless or too large: bounded in time and memory."""

from __future__ import annotations

import threading
import time
import tracemalloc
from collections import deque
from ipaddress import ip_network
from typing import TYPE_CHECKING, Any

import pytest

from imrs_server.adapters import chat
from imrs_server.adapters.addresses import AddressRules
from imrs_server.adapters.http import GuardedClient, Timing
from imrs_server.domain.chat import (
    ChatFailure,
    Delta,
    FailureKind,
)
from tests.support import chat_shapes as shapes
from tests.support import patience
from tests.support import provider as act
from tests.support.chat_shapes import delta, sse
from tests.support.chats import CLIENT, calls_of, fails
from tests.support.provider import FakeProvider
from tests.support.waiting import eventually

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.provider import Behaviour


BEGUN = sse(delta("partly"), end=b"")


@pytest.fixture
def upstream() -> Iterator[FakeProvider]:
    with FakeProvider(b"{}") as provider:
        yield provider


SLOW: dict[str, Behaviour] = {
    "silence": act.hang,
    "headers that drip": act.drip_headers,
    "a stream without a word": shapes.stalled(b""),
    "comments without end": shapes.kept_open(b"", b": wait\n\n"),
    "a line without end": shapes.kept_open(b"data: ", b"x"),
    "empty deltas without end": shapes.kept_open(b"", sse(delta(role="assistant"), end=b"")),
    "a document that drips": act.drip_body,
}


@pytest.mark.parametrize("manner", SLOW)
def test_the_deadline_cuts_whatever_is_slow(upstream: FakeProvider, manner: str) -> None:
    deadline = CLIENT.deadline(60)
    heard_at = 0.0

    def move() -> None:
        nonlocal heard_at
        heard_at = time.monotonic()
        deadline.move(0.6)

    failure, _ = fails(upstream, act.after(move, SLOW[manner]), deadline=deadline)

    assert failure.kind is FailureKind.TIMEOUT
    assert failure.again
    assert time.monotonic() - heard_at < 20  # who hangs does so for 30 s


def test_silence_ends_before_the_deadline(upstream: FakeProvider) -> None:
    rules = AddressRules(allowed=(ip_network("127.0.0.0/8"),))
    hurried = GuardedClient(rules, timing=Timing(connect_seconds=patience.SECONDS, read_seconds=1.0, tries=1))
    started = time.monotonic()

    failure, _ = fails(upstream, shapes.stalled(BEGUN), client=hurried)

    assert failure.cause is FailureKind.TIMEOUT
    assert time.monotonic() - started < 20


def test_a_call_that_nobody_waits_for_any_more_ends_at_once(upstream: FakeProvider) -> None:
    upstream.script(act.hang)
    deadline = CLIENT.deadline(60)

    cut_at = 0.0

    def cut() -> None:
        nonlocal cut_at
        eventually(lambda: bool(upstream.requests))
        cut_at = time.monotonic()
        deadline.cut()

    cutter = threading.Thread(target=cut)
    cutter.start()

    with pytest.raises(ChatFailure):
        list(chat.stream(CLIENT, shapes.access(f"{upstream.url}/v1"), shapes.request(), deadline))

    ended_at = time.monotonic()
    cutter.join()
    assert ended_at - cut_at < 20  # the provider would have been waited for, who hangs for 30 s


def test_closing_the_iterator_closes_the_connection(upstream: FakeProvider) -> None:
    gone = threading.Event()

    def behave(handler: Any) -> None:
        try:
            shapes.kept_open(BEGUN, BEGUN)(handler)
        except ConnectionError:
            gone.set()

    upstream.script(behave)
    pieces = chat.stream(CLIENT, shapes.access(f"{upstream.url}/v1"), shapes.request(), CLIENT.deadline(60))
    assert next(pieces) == Delta(content="partly")
    pieces.close()  # type: ignore[attr-defined]

    assert gone.wait(patience.SECONDS)


LARGE: dict[str, tuple[Behaviour, str]] = {
    "one line": (shapes.flood(b"x" * 65_536, 1024), "8 MiB"),
    "one event of many lines": (shapes.flood(b"data: " + b"x" * 65_529 + b"\n", 1024), "8 MiB"),
    "an error": (shapes.flood(b"x" * 65_536, 1024, head=b"HTTP/1.1 500 No\r\n\r\n"), "failure of its own"),
    "a document": (
        shapes.flood(
            b" " * 65_536, 1024, head=shapes.HEAD.replace(b"text/event-stream", b"application/json")
        ),
        "16 MiB",
    ),
    "comments": (shapes.flood(b": " + b"x" * 65_533 + b"\n", 1100), "64 MiB"),
    "headers": (act.flood_headers, "rules of HTTP"),
}


@pytest.mark.parametrize("manner", LARGE)
def test_memory_is_bounded(upstream: FakeProvider, manner: str) -> None:
    behaviour, words = LARGE[manner]
    tracemalloc.start()
    try:
        failure, _ = fails(upstream, behaviour)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()

    assert words in failure.detail
    assert peak < 48 << 20


def test_an_endless_answer_ends(upstream: FakeProvider) -> None:
    piece = sse(delta("x" * 65_000), end=b"")
    upstream.script(shapes.flood(piece, 1100))

    pieces = chat.stream(CLIENT, shapes.access(f"{upstream.url}/v1"), shapes.request(), CLIENT.deadline(60))
    with pytest.raises(ChatFailure, match="64 MiB") as caught:
        deque(pieces, maxlen=0)

    assert caught.value.kind is FailureKind.MID_STREAM


def test_tool_calls_without_end_end(upstream: FakeProvider) -> None:
    body = sse(*(delta(tool_calls=[shapes.fragment(at, f"call_{at}", "time")]) for at in range(200)))

    failure, came = fails(upstream, shapes.stream(body))

    assert failure.cause is FailureKind.INVALID_RESPONSE
    assert len(calls_of(came)) == 128
