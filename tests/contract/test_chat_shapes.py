"""What the makers of the APIs say of our chats: by the types that they publish, and by their own clients."""

from __future__ import annotations

import json
from functools import cache
from typing import TYPE_CHECKING, Any

import anthropic
import openai
import pytest
from anthropic.types import RawMessageStreamEvent
from anthropic.types.message_create_params import (
    MessageCreateParamsNonStreaming,
    MessageCreateParamsStreaming,
)
from openai.types.chat import ChatCompletion, ChatCompletionChunk
from openai.types.chat.completion_create_params import (
    CompletionCreateParamsNonStreaming,
    CompletionCreateParamsStreaming,
)
from pydantic import TypeAdapter, ValidationError

from imrs_server.adapters.chat.anthropic import AnthropicVoice
from imrs_server.adapters.chat.openai import OpenAIVoice
from imrs_server.domain.chat import (
    ChatMessage,
    DataPart,
    Delta,
    Ended,
    FailureKind,
    ImagePart,
    TextPart,
    ToolCall,
)
from imrs_server.domain.parameters import Parameters
from tests.support import chat_shapes as shapes
from tests.support.chats import fails, talk
from tests.support.provider import FakeProvider, answer

if TYPE_CHECKING:
    from collections.abc import Iterator

    from imrs_server.adapters.chat.voice import Voice
    from imrs_server.domain.chat import ChatRequest, Piece
    from tests.support.provider import Behaviour

TOOL = {
    "type": "function",
    "function": {"name": "weather", "description": "Of a city", "parameters": {"type": "object"}},
}
SCHEMA = {"type": "json_schema", "json_schema": {"name": "x", "schema": {"type": "object"}}}
TALK = (
    ChatMessage(role="system", content="Be brief"),
    ChatMessage(role="user", content="Look", parts=(ImagePart("https://example.com/a.png"), TextPart("?"))),
    ChatMessage(role="assistant", tool_calls=(ToolCall(id="a", name="weather", arguments="{}"),)),
    ChatMessage(role="tool", content="sunny", tool_call_id="a"),
    ChatMessage(role="user", parts=(DataPart(b"x", "image/png"), DataPart(b"x", "application/pdf"))),
)
PARAMETERS = Parameters(max_output_tokens=100, stop=("END",), extra={"user": "u-1"})
REQUESTS: dict[str, ChatRequest] = {
    "plain": shapes.request(),
    "in one piece": shapes.request(stream=False),
    "conversation": shapes.request(messages=TALK, tools=(TOOL,)),
    "auto": shapes.request(tools=(TOOL,), tool_choice="auto"),
    "none": shapes.request(tools=(TOOL,), tool_choice="none"),
    "required": shapes.request(tools=(TOOL,), tool_choice="required"),
    "one tool": shapes.request(tools=(TOOL,), tool_choice="weather"),
    "one at a time": shapes.request(
        tools=(TOOL,), parameters=Parameters(extra={"parallel_tool_calls": False})
    ),
    "parameters": shapes.request(parameters=PARAMETERS),
    "schema": shapes.request(response_format=SCHEMA),
}
VOICES: dict[str, tuple[Voice, Any, Any]] = {
    "openai": (OpenAIVoice(), CompletionCreateParamsStreaming, CompletionCreateParamsNonStreaming),
    "anthropic": (AnthropicVoice(), MessageCreateParamsStreaming, MessageCreateParamsNonStreaming),
}


@pytest.fixture
def upstream() -> Iterator[FakeProvider]:
    with FakeProvider(b"{}") as provider:
        yield provider


@cache
def judge(kind: Any) -> TypeAdapter[Any]:
    return TypeAdapter(kind)


def whole(value: Any) -> Any:
    """The value with all that is judged only when it is looked at."""
    if isinstance(value, dict):
        return {name: whole(each) for name, each in value.items()}
    if isinstance(value, str | int | float | None):
        return value
    return [whole(each) for each in value]


@pytest.mark.parametrize("name", REQUESTS)
@pytest.mark.parametrize("dialect", VOICES)
def test_what_we_send_is_of_the_published_types(dialect: str, name: str) -> None:
    voice, streaming, whole_answer = VOICES[dialect]
    provider = shapes.access("https://api.openai.com/v1", dialect)
    body = json.loads(voice.compose(provider, REQUESTS[name]).call.body or b"")
    kind = streaming if body.get("stream") else whole_answer

    assert whole(judge(kind).validate_python(body)) == body
    assert set(body) <= set(kind.__annotations__) | {
        each for base in kind.__orig_bases__ for each in getattr(base, "__annotations__", {})
    }


def test_the_types_see_what_is_wrong() -> None:
    for kind, messages in (
        (CompletionCreateParamsNonStreaming, [{"role": "user", "content": [{"type": "text"}]}]),
        (MessageCreateParamsNonStreaming, [{"role": "user", "content": [{"type": "tool_result"}]}]),
    ):
        with pytest.raises(ValidationError):
            whole(judge(kind).validate_python({"model": "m", "max_tokens": 1, "messages": messages}))


OPENAI_STREAM = [
    shapes.delta(role="assistant", content=""),
    shapes.delta("I "),
    shapes.delta("look"),
    shapes.delta(tool_calls=[shapes.fragment(0, "call_a", "weather")]),
    shapes.delta(tool_calls=[shapes.fragment(0, arguments='{"city": ')]),
    shapes.delta(tool_calls=[shapes.fragment(0, arguments='"Bern"}')]),
    shapes.delta(tool_calls=[shapes.fragment(1, "call_b", "time", "{}")]),
    shapes.delta(finish_reason="tool_calls"),
    {
        "id": "c",
        "object": "chat.completion.chunk",
        "model": "m",
        "choices": [],
        "usage": shapes.usage(12, 3, cached=8) | {"total_tokens": 15},
    },
]
ANTHROPIC_STREAM = [
    shapes.message_start(input_tokens=4, cache_read_input_tokens=8, output_tokens=1),
    *shapes.text_block(0, "I ", "look"),
    *shapes.tool_block(1, "call_a", "weather", '{"city": ', '"Bern"}'),
    *shapes.tool_block(2, "call_b", "time", "{}"),
    *shapes.message_end("tool_use", output_tokens=3),
]
CALLS = [("call_a", "weather", {"city": "Bern"}), ("call_b", "time", {})]


def test_what_our_providers_play_is_of_the_published_types() -> None:
    for chunk in OPENAI_STREAM:
        ChatCompletionChunk.model_validate({"created": 1, **chunk})
    for event in ANTHROPIC_STREAM:
        judge(RawMessageStreamEvent).validate_python(event)
    document = json.loads(shapes.document({"content": "x"}, usage=shapes.usage(1, 1) | {"total_tokens": 2}))
    ChatCompletion.model_validate({"created": 1, "model": "m", **document})


def ours(came: list[Piece | Ended]) -> tuple[str, list[tuple[str, str, Any]], Ended]:
    """Text, tool calls and end, put together."""
    calls: dict[int, list[str]] = {}
    text = ""
    for each in came:
        if isinstance(each, Delta):
            text += each.content
            for call in each.tool_calls:
                joined = calls.setdefault(call.index, ["", "", ""])
                for at, piece in enumerate((call.id, call.name, call.arguments)):
                    joined[at] += piece
    end = came[-1]
    assert isinstance(end, Ended)
    return text, [(each[0], each[1], json.loads(each[2])) for each in calls.values()], end


def test_we_read_a_stream_of_openai_as_its_own_client_does(upstream: FakeProvider) -> None:
    body = shapes.sse(*OPENAI_STREAM)
    upstream.script(shapes.stream(body))
    with (
        openai.OpenAI(base_url=f"{upstream.url}/v1", api_key=shapes.KEY, max_retries=0) as client,
        client.chat.completions.stream(
            model="m",
            messages=[{"role": "user", "content": "hello"}],
            stream_options={"include_usage": True},
        ) as stream,
    ):
        theirs = stream.get_final_completion()

    text, calls, end = ours(talk(upstream, shapes.stream(body)))

    message = theirs.choices[0].message
    told = [
        (each.id, each.function.name, json.loads(each.function.arguments))
        for each in message.tool_calls or ()
    ]
    assert (text, calls) == (message.content, told) == ("I look", CALLS)
    assert end.finish_reason == theirs.choices[0].finish_reason
    assert end.usage is not None
    assert theirs.usage is not None
    assert (end.usage.prompt_tokens, end.usage.completion_tokens) == (
        theirs.usage.prompt_tokens,
        theirs.usage.completion_tokens,
    )
    same_question(upstream)
    theirs_asked, asked = upstream.requests
    assert asked.headers["authorization"] == theirs_asked.headers["authorization"]


def test_we_read_a_stream_of_anthropic_as_its_own_client_does(upstream: FakeProvider) -> None:
    body = shapes.named(*ANTHROPIC_STREAM)
    upstream.script(shapes.stream(body))
    with (
        anthropic.Anthropic(base_url=upstream.url, api_key=shapes.KEY, max_retries=0) as client,
        client.messages.stream(
            model="m",
            max_tokens=4096,
            messages=[{"role": "user", "content": [{"type": "text", "text": "hello"}]}],
        ) as stream,
    ):
        theirs = stream.get_final_message()

    text, calls, end = ours(talk(upstream, shapes.stream(body), dialect="anthropic"))

    told = [(each.id, each.name, each.input) for each in theirs.content if each.type == "tool_use"]
    assert (text, calls) == (theirs.content[0].text, told) == ("I look", CALLS)  # type: ignore[union-attr]
    assert (end.finish_reason, theirs.stop_reason) == ("tool_calls", "tool_use")
    assert end.usage is not None
    cached = theirs.usage.cache_read_input_tokens or 0
    assert end.usage.prompt_tokens == theirs.usage.input_tokens + cached
    assert (end.usage.completion_tokens, end.usage.cached_tokens) == (theirs.usage.output_tokens, cached)
    # Not with the same headers: newer clients name a version of the API that takes no temperature.
    same_question(upstream)


def same_question(upstream: FakeProvider) -> None:
    """Their client and we asked the same thing at the same place."""
    theirs, asked = upstream.requests
    assert (asked.method, asked.path) == (theirs.method, theirs.path)
    assert json.loads(asked.body) == json.loads(theirs.body)


# A status, and what the two clients call it.
STATUSES: list[tuple[int, type[Exception], type[Exception], FailureKind]] = [
    (400, openai.BadRequestError, anthropic.BadRequestError, FailureKind.BAD_REQUEST),
    (401, openai.AuthenticationError, anthropic.AuthenticationError, FailureKind.AUTH),
    (403, openai.PermissionDeniedError, anthropic.PermissionDeniedError, FailureKind.AUTH),
    (422, openai.UnprocessableEntityError, anthropic.UnprocessableEntityError, FailureKind.BAD_REQUEST),
    (429, openai.RateLimitError, anthropic.RateLimitError, FailureKind.RATE_LIMITED),
    (500, openai.InternalServerError, anthropic.InternalServerError, FailureKind.OVERLOADED),
    (503, openai.InternalServerError, anthropic.InternalServerError, FailureKind.OVERLOADED),
]


@pytest.mark.parametrize(("status", "of_openai", "of_anthropic", "kind"), STATUSES)
def test_failures_are_what_the_clients_take_them_for(
    upstream: FakeProvider,
    status: int,
    of_openai: type[Exception],
    of_anthropic: type[Exception],
    kind: FailureKind,
) -> None:
    behaviour: Behaviour = answer(b'{"error": {"message": "no"}}', status=status)
    upstream.script(behaviour, behaviour)
    with (
        openai.OpenAI(base_url=f"{upstream.url}/v1", api_key="x", max_retries=0) as one,
        pytest.raises(of_openai),
    ):
        one.chat.completions.create(model="m", messages=[])
    with (
        anthropic.Anthropic(base_url=upstream.url, api_key="x", max_retries=0) as other,
        pytest.raises(of_anthropic),
    ):
        other.messages.create(model="m", max_tokens=1, messages=[])
    for dialect in VOICES:
        failure, _ = fails(upstream, behaviour, dialect=dialect)
        assert failure.kind is kind
