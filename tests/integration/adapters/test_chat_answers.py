"""Chats with providers on loopback that answer as documented, or in the ways that copies have."""

from __future__ import annotations

import json
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest

from imrs_server.adapters import chat
from imrs_server.domain.chat import (
    Delta,
    Ended,
    FinishReason,
    Thought,
    TokenUsage,
    ToolCall,
)
from imrs_server.domain.parameters import Parameters
from tests.support import chat_shapes as shapes
from tests.support import provider as act
from tests.support.chat_shapes import KEY, delta, document, message_end, message_start, named, sse, text_block
from tests.support.chats import CLIENT, calls_of, end_of, talk, text_of
from tests.support.provider import FakeProvider

if TYPE_CHECKING:
    from collections.abc import Iterator


TOOLS = ({"type": "function", "function": {"name": "weather", "parameters": {"type": "object"}}},)


@pytest.fixture
def upstream() -> Iterator[FakeProvider]:
    with FakeProvider(b"{}") as provider:
        yield provider


def test_openai_streams(upstream: FakeProvider) -> None:
    body = sse(
        delta(role="assistant"),
        delta("Good"),
        delta(" day"),
        delta(finish_reason="stop"),
        {"choices": [], "usage": shapes.usage(12, 3, cached=8)},
    )

    came = talk(upstream, shapes.stream(body))

    assert came == [
        Delta(content="Good"),
        Delta(content=" day"),
        Ended(
            finish_reason=FinishReason.STOP,
            usage=TokenUsage(prompt_tokens=12, completion_tokens=3, cached_tokens=8),
        ),
    ]
    (asked,) = upstream.requests
    assert (asked.method, asked.path) == ("POST", "/v1/chat/completions")
    assert asked.headers["authorization"] == f"Bearer {KEY}"
    assert asked.headers["accept"] == "text/event-stream"
    assert json.loads(asked.body) == {
        "model": "m",
        "messages": [{"role": "user", "content": "hello"}],
        "stream": True,
        "stream_options": {"include_usage": True},
    }


def test_anthropic_streams(upstream: FakeProvider) -> None:
    body = named(
        message_start(input_tokens=5, cache_read_input_tokens=7, output_tokens=1),
        {"type": "ping"},
        *text_block(0, "Good", " day"),
        *message_end("end_turn", output_tokens=9),
    )

    came = talk(upstream, shapes.stream(body), dialect="anthropic")

    assert text_of(came) == "Good day"
    assert end_of(came) == Ended(
        finish_reason=FinishReason.STOP,
        usage=TokenUsage(prompt_tokens=12, completion_tokens=9, cached_tokens=7),
    )
    (asked,) = upstream.requests
    assert (asked.method, asked.path) == ("POST", "/v1/messages")
    assert asked.headers["x-api-key"] == KEY
    assert asked.headers["anthropic-version"] == "2023-06-01"
    assert "authorization" not in asked.headers
    assert json.loads(asked.body) == {
        "model": "m",
        "max_tokens": 4096,
        "messages": [{"role": "user", "content": [{"type": "text", "text": "hello"}]}],
        "stream": True,
    }


NUMBERS: dict[str, tuple[dict[str, Any], int]] = {
    "OpenAI": ({"total_tokens": 15, "completion_tokens_details": {"reasoning_tokens": 2}}, 3),
    "Grok": ({"total_tokens": 95, "completion_tokens_details": {"reasoning_tokens": 80}}, 83),
    "Gemini": ({"total_tokens": 95}, 83),
    "a total of its own": ({"total_tokens": 7}, 3),
    "a total that is no number": ({"total_tokens": "95"}, 3),
}


@pytest.mark.parametrize("whose", NUMBERS)
def test_what_was_thought_is_counted_with_the_answer(upstream: FakeProvider, whose: str) -> None:
    told, completion_tokens = NUMBERS[whose]
    body = document({"content": "Good day"}, usage=shapes.usage(12, 3) | told)

    came = talk(upstream, act.answer(body), request=shapes.request(stream=False))

    assert end_of(came).usage == TokenUsage(prompt_tokens=12, completion_tokens=completion_tokens)


def test_what_is_not_told_of_the_prompt_is_not_counted_as_the_answer(upstream: FakeProvider) -> None:
    body = document({"content": "Good day"}, usage={"completion_tokens": 3, "total_tokens": 95})

    came = talk(upstream, act.answer(body), request=shapes.request(stream=False))

    assert end_of(came).usage == TokenUsage(prompt_tokens=0, completion_tokens=3)


def test_of_thoughts_only_their_length_is_told(upstream: FakeProvider) -> None:
    parts = [{"type": "thinking", "thinking": [{"type": "text", "text": "hmm"}]}]
    body = sse(
        delta(reasoning_content="hm", reasoning="hm"),
        {"choices": [{"delta": {"content": parts}}]},
        delta("Good", "stop"),
        {"choices": [], "usage": shapes.usage(4, 9)},
    )

    came = talk(upstream, shapes.stream(body))

    assert came[:3] == [Thought(2), Thought(3), Delta(content="Good")]
    assert end_of(came).usage == TokenUsage(prompt_tokens=4, completion_tokens=9)


def test_of_thoughts_that_are_signed_or_hidden_too(upstream: FakeProvider) -> None:
    begin, go_on = "content_block_start", "content_block_delta"
    body = named(
        message_start(input_tokens=5, output_tokens=1),
        {"type": begin, "index": 0, "content_block": {"type": "thinking", "thinking": "", "signature": ""}},
        {"type": go_on, "index": 0, "delta": {"type": "thinking_delta", "thinking": "hmm"}},
        {"type": go_on, "index": 0, "delta": {"type": "signature_delta", "signature": "EqQB"}},
        {"type": "content_block_stop", "index": 0},
        {"type": begin, "index": 1, "content_block": {"type": "redacted_thinking", "data": "EmwK"}},
        {"type": "content_block_stop", "index": 1},
        *text_block(2, "Good"),
        *message_end("end_turn", output_tokens=40),
    )

    came = talk(upstream, shapes.stream(body), dialect="anthropic")

    assert came[:4] == [Thought(0), Thought(3), Thought(0), Delta(content="Good")]
    assert end_of(came).usage == TokenUsage(prompt_tokens=5, completion_tokens=40)


def test_openai_answers_in_one_piece(upstream: FakeProvider) -> None:
    body = document({"content": "Good day"}, "length", usage=shapes.usage(4, 2))

    came = talk(upstream, act.answer(body), request=shapes.request(stream=False))

    assert text_of(came) == "Good day"
    assert end_of(came).finish_reason is FinishReason.LENGTH
    assert end_of(came).usage == TokenUsage(prompt_tokens=4, completion_tokens=2)
    assert "stream" not in json.loads(upstream.requests[0].body)
    assert upstream.requests[0].headers["accept"] == "application/json"


def test_anthropic_answers_in_one_piece(upstream: FakeProvider) -> None:
    content = [
        {"type": "thinking", "thinking": "hm", "signature": "x"},
        {"type": "text", "text": "Good day"},
        {"type": "tool_use", "id": "toolu_1", "name": "weather", "input": {"city": "Bern"}},
        {"type": "tool_use", "id": "toolu_2", "name": "time", "input": {}},
    ]
    usage = {"input_tokens": 3, "cache_creation_input_tokens": 2, "output_tokens": 4}
    told = {"type": "message", "content": content, "stop_reason": "tool_use", "usage": usage}

    came = talk(
        upstream,
        act.answer(json.dumps(told).encode()),
        dialect="anthropic",
        request=shapes.request(stream=False),
    )

    assert text_of(came) == "Good day"
    assert calls_of(came) == [
        ToolCall(id="toolu_1", name="weather", arguments='{"city": "Bern"}'),
        ToolCall(id="toolu_2", name="time", index=1),
        ToolCall(arguments="{}", index=1),
    ]
    assert end_of(came).finish_reason is FinishReason.TOOL_CALLS
    assert end_of(came).usage == TokenUsage(prompt_tokens=5, completion_tokens=4)


@pytest.mark.parametrize("dialect", ["openai", "anthropic"])
def test_who_was_asked_for_a_stream_and_answers_in_one_piece_is_understood(
    upstream: FakeProvider, dialect: str
) -> None:
    told = {"type": "message", "content": [{"type": "text", "text": "whole"}], "stop_reason": "end_turn"}
    body = document({"content": "whole"}) if dialect == "openai" else json.dumps(told).encode()

    for kind in ("application/json", "text/plain"):
        came = talk(upstream, act.answer(body, kind=kind), dialect=dialect)
        assert text_of(came) == "whole"
        assert end_of(came).usage is None


def test_who_was_asked_for_one_piece_and_streams_is_understood(upstream: FakeProvider) -> None:
    body = sse(delta("wh"), delta("ole", "stop"))

    came = talk(upstream, shapes.stream(body), request=shapes.request(stream=False))

    assert text_of(came) == "whole"


@pytest.mark.parametrize("kind", ["", "text/plain", "application/octet-stream"])
def test_a_stream_under_another_name_is_a_stream(upstream: FakeProvider, kind: str) -> None:
    came = talk(upstream, act.answer(sse(delta("hello", "stop")), kind=kind))

    assert text_of(came) == "hello"


CALLS: dict[str, list[list[Any]]] = {
    "as documented": [
        [shapes.fragment(0, "call_a", "weather")],
        [shapes.fragment(0, arguments='{"ci')],
        [shapes.fragment(0, arguments='ty": 1}')],
        [shapes.fragment(1, "call_b", "time")],
        [shapes.fragment(1, arguments="{}")],
    ],
    "id and name repeated": [
        [shapes.fragment(0, "call_a", "weather", '{"ci')],
        [shapes.fragment(0, "call_a", "weather", 'ty": 1}')],
        [shapes.fragment(1, "call_b", "time", "{}")],
    ],
    "whole, all with the number 0": [
        [shapes.fragment(0, "call_a", "weather", '{"city": 1}')],
        [shapes.fragment(0, "call_b", "time", "{}")],
    ],
    "whole, without a number": [
        [
            shapes.fragment(None, "call_a", "weather", '{"city": 1}'),
            shapes.fragment(None, "call_b", "time", "{}"),
        ]
    ],
    "arguments as an object": [
        [shapes.fragment(0, "call_a", "weather", {"city": 1})],
        [shapes.fragment(1, "call_b", "time", None)],
        [shapes.fragment(1, arguments="{}")],
    ],
    "numbered from 3, in turns": [
        [shapes.fragment(3, "call_a", "weather", '{"ci'), shapes.fragment(4, "call_b", "time", "{")],
        [shapes.fragment(3, arguments='ty": 1}'), shapes.fragment(4, arguments="}")],
    ],
}


@pytest.mark.parametrize("manner", CALLS)
def test_tool_calls_come_in_pieces_that_fit_together(upstream: FakeProvider, manner: str) -> None:
    deltas = [delta(tool_calls=each) for each in CALLS[manner]]
    # Some say "stop" of an answer that is all calls.
    body = sse(*deltas, delta(finish_reason="stop"))

    came = talk(upstream, shapes.stream(body), request=shapes.request(tools=TOOLS))

    joined: dict[int, list[str]] = {}
    for call in calls_of(came):
        whole = joined.setdefault(call.index, ["", "", ""])
        for at, piece in enumerate((call.id, call.name, call.arguments)):
            whole[at] += piece
    assert joined == {0: ["call_a", "weather", '{"city": 1}'], 1: ["call_b", "time", "{}"]}
    assert end_of(came).finish_reason is FinishReason.TOOL_CALLS


def test_tool_calls_of_anthropic_come_in_pieces(upstream: FakeProvider) -> None:
    body = named(
        message_start(input_tokens=5),
        *text_block(0, "Looking"),
        *shapes.tool_block(1, "toolu_1", "weather", "", '{"ci', 'ty": 1}'),
        *shapes.tool_block(2, "toolu_2", "time", ""),
        *message_end("tool_use", output_tokens=9),
    )

    came = talk(upstream, shapes.stream(body), dialect="anthropic", request=shapes.request(tools=TOOLS))

    assert calls_of(came) == [
        ToolCall(id="toolu_1", name="weather"),
        ToolCall(arguments='{"ci'),
        ToolCall(arguments='ty": 1}'),
        ToolCall(id="toolu_2", name="time", index=1),
        ToolCall(arguments="{}", index=1),
    ]
    assert end_of(came).finish_reason is FinishReason.TOOL_CALLS


def test_a_call_without_an_id_gets_one(upstream: FakeProvider) -> None:
    body = sse(delta(tool_calls=[shapes.fragment(0, "", "time", "{}")]), delta(finish_reason="tool_calls"))

    (call,) = calls_of(talk(upstream, shapes.stream(body)))

    assert call.id.startswith("call_")


ENDS: dict[str, tuple[bytes, FinishReason, TokenUsage | None]] = {
    "usage beside the reason": (
        sse(delta("hello", "stop") | {"usage": shapes.usage(2, 1)}),
        FinishReason.STOP,
        TokenUsage(prompt_tokens=2, completion_tokens=1),
    ),
    "usage of groq": (
        sse(delta("hello", "stop") | {"x_groq": {"id": "r", "usage": shapes.usage(2, 1)}}),
        FinishReason.STOP,
        TokenUsage(prompt_tokens=2, completion_tokens=1),
    ),
    "usage in every event": (
        sse(
            delta("hel") | {"usage": shapes.usage(2, 1)},
            delta("lo") | {"usage": shapes.usage(2, 2)},
            delta(finish_reason="stop") | {"usage": shapes.usage(2, 3)},
        ),
        FinishReason.STOP,
        TokenUsage(prompt_tokens=2, completion_tokens=3),
    ),
    "zeros before the end": (
        sse(
            delta("hello") | {"usage": shapes.usage(0, 0)},
            delta(finish_reason="stop") | {"usage": None},
            {"choices": [], "usage": shapes.usage(2, 1)},
        ),
        FinishReason.STOP,
        TokenUsage(prompt_tokens=2, completion_tokens=1),
    ),
    "usage that nobody believes": (
        sse(
            delta("hello", "stop"),
            {"choices": [], "usage": {"prompt_tokens": -5, "completion_tokens": 1e30, "x": "y"}},
        ),
        FinishReason.STOP,
        None,
    ),
    "more cached than read": (
        sse(delta("hello", "stop"), {"choices": [], "usage": shapes.usage(2, 1, cached=9)}),
        FinishReason.STOP,
        TokenUsage(prompt_tokens=2, completion_tokens=1, cached_tokens=2),
    ),
    "no usage": (sse(delta("hello", "stop")), FinishReason.STOP, None),
    "no mark of the end": (sse(delta("hello", "stop"), end=b""), FinishReason.STOP, None),
    "no last empty line": (sse(delta("hello", "stop"), end=b"").rstrip(), FinishReason.STOP, None),
    "no reason": (sse(delta("hello")), FinishReason.STOP, None),
    "an unheard of reason": (sse(delta("hello", "tired")), FinishReason.STOP, None),
    "length": (sse(delta("hello", "length")), FinishReason.LENGTH, None),
    "filtered": (sse(delta("hello", "content_filter")), FinishReason.CONTENT_FILTER, None),
    "refused": (sse(delta(refusal="hello"), delta(finish_reason="stop")), FinishReason.CONTENT_FILTER, None),
    "nulls": (
        sse(delta() | {"choices": [{"delta": None}]}, {"choices": None}, delta("hello", "stop")),
        FinishReason.STOP,
        None,
    ),
    "another answer beside it": (
        sse({"choices": [{"index": 1, "delta": {"content": "no"}}]}, delta("hello", "stop")),
        FinishReason.STOP,
        None,
    ),
    "comments, ids and empty data": (
        b": OPENROUTER PROCESSING\n\nid: 7\nretry: 10\ndata:\n\n" + sse(delta("hello", "stop")),
        FinishReason.STOP,
        None,
    ),
    "a byte order mark and carriage returns": (
        b"\xef\xbb\xbf" + sse(delta("hello", "stop")).replace(b"\n", b"\r\n"),
        FinishReason.STOP,
        None,
    ),
    "thoughts beside the text": (
        sse(
            delta(reasoning_content="hm"),
            delta(content=None, reasoning="hm"),
            {"choices": [{"delta": {"content": [{"type": "thinking"}, {"type": "text", "text": "hello"}]}}]},
            delta(finish_reason="stop"),
        ),
        FinishReason.STOP,
        None,
    ),
}


@pytest.mark.parametrize("manner", ENDS)
def test_answers_end_in_many_ways(upstream: FakeProvider, manner: str) -> None:
    body, reason, usage = ENDS[manner]

    came = talk(upstream, shapes.stream(body))

    assert text_of(came) == "hello"
    assert end_of(came) == Ended(finish_reason=reason, usage=usage)


@pytest.mark.parametrize("break_off", [shapes.broken_off, shapes.stalled])
def test_what_breaks_off_after_its_end_is_whole(upstream: FakeProvider, break_off: Any) -> None:
    begun = sse(delta("hello", "stop"), end=b"")

    came = talk(upstream, break_off(begun), rest_seconds=1)

    assert text_of(came) == "hello"
    assert end_of(came).finish_reason is FinishReason.STOP


def test_nobody_waits_for_a_connection_that_stays_open_after_the_end(upstream: FakeProvider) -> None:
    begun = sse(delta("hello", "stop"), {"choices": [], "usage": shapes.usage(1, 1)}, end=b"")
    started = time.monotonic()

    talk(upstream, shapes.stalled(begun))

    assert time.monotonic() - started < 20  # the provider keeps it open for 30 s


def test_deltas_arrive_as_they_are_sent(upstream: FakeProvider) -> None:
    seen = threading.Event()

    def behave(handler: Any) -> None:
        handler.raw(shapes.HEAD + sse(delta("first"), end=b""))
        # Only when the first one was used does the rest come.
        assert seen.wait(20)
        handler.raw(sse(delta("second", "stop")))

    upstream.script(behave)
    access = shapes.access(f"{upstream.url}/v1")
    came = []
    for each in chat.stream(CLIENT, access, shapes.request(), CLIENT.deadline(60)):
        came.append(each)
        seen.set()

    assert text_of(came) == "firstsecond"


def test_bytes_one_by_one_are_the_same_text(upstream: FakeProvider) -> None:
    text = "Grüezi 🌍 — 你好"
    raw = json.dumps(delta(text, "stop"), ensure_ascii=False).encode()

    came = talk(upstream, shapes.one_by_one(b"data: " + raw + b"\r\n\r\ndata: [DONE]\r\n\r\n"))

    assert text_of(came) == text


def test_a_character_cut_in_two_is_whole_again(upstream: FakeProvider) -> None:
    body = (
        b'data: {"choices":[{"delta":{"content":"a\\ud83c"}}]}\n\n'
        b'data: {"choices":[{"delta":{"content":"\\udf0d \\udf0d"},"finish_reason":"stop"}]}\n\n'
    )

    came = talk(upstream, shapes.stream(body))

    assert text_of(came) == "a🌍 \ufffd"
    assert [each.content for each in came if isinstance(each, Delta)] == ["a", "🌍 \ufffd"]


def test_what_is_dropped_is_told_at_the_end(upstream: FakeProvider) -> None:
    request = shapes.request(
        parameters=Parameters(temperature=1.5, extra={"seed": 7.0, "top_k": 5.0}),
        response_format={"type": "json_object"},
    )
    body = named(
        message_start(input_tokens=1), *text_block(0, "hi"), *message_end("end_turn", output_tokens=1)
    )

    came = talk(upstream, shapes.stream(body), dialect="anthropic", request=request)

    assert end_of(came).dropped == ("temperature", "extra.seed", "response_format")
    assert json.loads(upstream.requests[0].body)["top_k"] == 5
