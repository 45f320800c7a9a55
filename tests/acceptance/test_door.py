"""The stock `openai` package, with another address and key only, against the door of a whole server."""

from __future__ import annotations

import json
import socket
import threading
import time
from contextlib import contextmanager
from itertools import count
from typing import TYPE_CHECKING, Any

import httpx
import openai
import psycopg
import pytest

from imrs_client import v1 as pb
from imrs_server.domain.principal import Role
from tests.support import chatting
from tests.support.chatting import breaks_off, event, goes_on, refuses, says, streams
from tests.support.door import Door, employ, furnish, opened
from tests.support.provider import FakeProvider, answer
from tests.support.waiting import eventually

if TYPE_CHECKING:
    from collections.abc import Iterator

    from openai.types.chat import ChatCompletionMessageParam, ChatCompletionToolParam

    from tests.support.provider import Behaviour
    from tests.support.service import Service

# Not what any of these tests is about.
SECONDS = 60.0
ASKED: list[ChatCompletionMessageParam] = [{"role": "user", "content": "Hello"}]
TOOL: ChatCompletionToolParam = {
    "type": "function",
    "function": {"name": "weather", "description": "Of a city", "parameters": {"type": "object"}},
}
CALL = {"id": "call_1", "type": "function", "function": {"name": "weather", "arguments": '{"city": "Bern"}'}}
NUMBERS = count()


@pytest.fixture(scope="module")
def upstream() -> Iterator[FakeProvider]:
    with FakeProvider(b"", keeps=True) as started:
        yield started


@pytest.fixture(scope="module")
def door(shared_service: Service, upstream: FakeProvider) -> Iterator[Door]:
    service = shared_service
    furnish(service, "first", f"{upstream.url}/v1", "m", priority=90)
    furnish(service, "second", f"{upstream.url}/v1", "n", priority=10)
    employ(service, "bot")
    employ(service, "poor", "first/m", fallback_model_ids=pb.StringList())
    with opened(service) as found:
        yield found


@pytest.fixture
def bot(door: Door, upstream: FakeProvider) -> openai.OpenAI:
    upstream.calm()
    return door.agent("bot")


def post(door: Door, path: str, **fields: Any) -> httpx.Response:
    return httpx.post(f"{door.url}/v1/{path}", timeout=SECONDS, **fields)


@contextmanager
def asking(door: Door, **members: Any) -> Iterator[socket.socket]:
    """A connection on which the agent ``bot`` has asked something, and takes what the test takes."""
    body = json.dumps({"model": "agent:bot", "messages": ASKED, **members}).encode()
    token = door.service.token(Role.AGENT, agent_id="bot")
    head = f"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {token}\r\n"
    host, _, port = door.url.removeprefix("http://").rpartition(":")
    with socket.create_connection((host, int(port))) as caller:
        caller.sendall(f"{head}content-length: {len(body)}\r\n\r\n".encode() + body)
        yield caller


def asked_of(upstream: FakeProvider) -> dict[str, Any]:
    return dict(json.loads(upstream.requests[-1].body))


def calls_a_tool() -> Behaviour:
    message = {"role": "assistant", "content": None, "tool_calls": [CALL]}
    choice = {"index": 0, "message": message, "finish_reason": "tool_calls"}
    return answer(json.dumps({"choices": [choice], "usage": chatting.USAGE}).encode())


def streams_a_tool() -> Behaviour:
    first = {**CALL, "index": 0, "function": {"name": "weather", "arguments": ""}}
    deltas: list[dict[str, Any]] = [
        {"role": "assistant", "content": None, "tool_calls": [first]},
        {"tool_calls": [{"index": 0, "function": {"arguments": '{"city": '}}]},
        {"tool_calls": [{"index": 0, "function": {"arguments": '"Bern"}'}}]},
    ]
    chunks = [{"choices": [{"index": 0, "delta": each}]} for each in deltas]
    end = {"choices": [{"index": 0, "delta": {}, "finish_reason": "tool_calls"}], "usage": chatting.USAGE}
    return answer(b"".join(map(event, [*chunks, end])) + b"data: [DONE]\n\n", kind="text/event-stream")


def test_a_whole_answer(door: Door, bot: openai.OpenAI, upstream: FakeProvider) -> None:
    upstream.script(says("Hello to you"))
    done = bot.chat.completions.with_raw_response.create(model="agent:bot", messages=ASKED)

    told = done.parse()
    assert (told.choices[0].message.content, told.choices[0].finish_reason) == ("Hello to you", "stop")
    assert (told.model, told.object, told.choices[0].message.role) == (
        "first/m",
        "chat.completion",
        "assistant",
    )
    assert told.usage is not None
    assert (told.usage.prompt_tokens, told.usage.completion_tokens, told.usage.total_tokens) == (
        1000,
        500,
        1500,
    )
    assert told.usage.prompt_tokens_details is not None
    assert told.usage.prompt_tokens_details.cached_tokens == 200
    assert told.created > 1_700_000_000
    assert told._request_id is not None
    about = (told.model_extra or {})["imrs"]
    assert (about["model_id"], about["cost_usd"]) == ("first/m", "0.0019")
    assert told.id == f"chatcmpl-{about['message_id']}"
    assert done.headers["x-imrs-message-id"] == about["message_id"]
    vote = door.service.agent("bot").rate(about["message_id"], 1.0)
    assert (vote.model_id, vote.pending) == ("first/m", False)


def test_an_answer_in_pieces(bot: openai.OpenAI, upstream: FakeProvider) -> None:
    upstream.script(streams("Hello ", "to ", "you"))
    with bot.chat.completions.create(
        model="agent:bot", messages=ASKED, stream=True, stream_options={"include_usage": True}
    ) as stream:
        chunks = list(stream)

    assert [each.choices[0].delta.content for each in chunks[:3]] == ["Hello ", "to ", "you"]
    assert chunks[0].choices[0].delta.role == "assistant"
    *_, last, usage = chunks
    assert last.choices[0].finish_reason == "stop"
    assert (usage.choices, usage.usage and usage.usage.total_tokens) == ([], 1500)
    assert all(each.usage is None for each in chunks[:-1])
    assert {each.object for each in chunks} == {"chat.completion.chunk"}
    assert {each.model for each in chunks} == {"first/m"}
    assert len({each.id for each in chunks}) == 1
    assert chunks[0].id == f"chatcmpl-{(last.model_extra or {})['imrs']['message_id']}"


def test_without_a_wish_no_chunk_speaks_of_usage(bot: openai.OpenAI, upstream: FakeProvider) -> None:
    upstream.script(streams("Hello"))
    with bot.chat.completions.create(model="agent:bot", messages=ASKED, stream=True) as stream:
        chunks = list(stream)

    assert all(each.usage is None and each.choices for each in chunks)


def test_the_clients_own_way_of_putting_a_stream_together(bot: openai.OpenAI, upstream: FakeProvider) -> None:
    upstream.script(streams_a_tool())
    with bot.chat.completions.stream(model="agent:bot", messages=ASKED, tools=[TOOL]) as stream:
        message = stream.get_final_completion().choices[0].message

    assert message.tool_calls is not None
    (call,) = message.tool_calls
    assert (call.id, call.function.name) == ("call_1", "weather")
    assert json.loads(call.function.arguments) == {"city": "Bern"}


def test_a_tool_is_called_and_its_result_told(bot: openai.OpenAI, upstream: FakeProvider) -> None:
    upstream.script(calls_a_tool(), says("Sunny"))
    choice: Any = {"type": "function", "function": {"name": "weather"}}
    first = bot.chat.completions.create(model="agent:bot", messages=ASKED, tools=[TOOL], tool_choice=choice)
    message = first.choices[0].message

    assert first.choices[0].finish_reason == "tool_calls"
    assert message.content is None
    assert message.tool_calls is not None
    assert asked_of(upstream)["tool_choice"] == choice
    turns: Any = [*ASKED, message, {"role": "tool", "tool_call_id": "call_1", "content": "sunny"}]
    second = bot.chat.completions.create(model="agent:bot", messages=turns, tools=[TOOL])
    assert second.choices[0].message.content == "Sunny"
    body = asked_of(upstream)
    assert body["messages"][1]["tool_calls"] == [CALL]
    assert body["messages"][2] == {"role": "tool", "content": "sunny", "tool_call_id": "call_1"}
    assert body["tools"] == [TOOL]


def test_parameters_images_and_shapes_arrive(door: Door, bot: openai.OpenAI, upstream: FakeProvider) -> None:
    upstream.script(says("{}"))
    shape: Any = {"type": "json_schema", "json_schema": {"name": "x", "schema": {"type": "object"}}}
    turns: Any = [
        {"role": "developer", "content": "Be brief"},
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "Look"},
                {"type": "image_url", "image_url": {"url": "https://example.com/a.png", "detail": "low"}},
                {"type": "input_audio", "input_audio": {"data": "UklGRg==", "format": "wav"}},
                {"type": "file", "file": {"file_data": "data:application/pdf;base64,JVBERi0="}},
            ],
        },
    ]
    done = bot.chat.completions.create(
        model="agent:bot",
        messages=turns,
        temperature=0.5,
        top_p=0.9,
        max_completion_tokens=100,
        stop=["END"],
        seed=42,
        user="ann",
        presence_penalty=0.1,
        metadata={"ticket": "7"},
        response_format=shape,
    )

    body = asked_of(upstream)
    wanted = {"temperature": 0.5, "top_p": 0.9, "max_tokens": 100, "stop": ["END"], "seed": 42, "user": "ann"}
    assert body | wanted == body
    assert (body["presence_penalty"], body["response_format"]) == (0.1, shape)
    assert body["messages"][0] == {"role": "developer", "content": "Be brief"}
    kinds = [each["type"] for each in body["messages"][1]["content"]]
    assert kinds == ["text", "image_url", "input_audio", "file"]
    assert body["messages"][1]["content"][1]["image_url"]["detail"] == "low"
    dsn = door.service.settings.database_url.get_secret_value()
    with psycopg.connect(dsn) as connection:
        statement = "select metadata from messages where message_id = %s"
        found = connection.execute(statement, [done.id.removeprefix("chatcmpl-")]).fetchone()
    assert found == ({"ticket": "7", "user": "ann"},)


def test_a_model_may_be_named_and_then_it_is_that_one(bot: openai.OpenAI, upstream: FakeProvider) -> None:
    upstream.script(says("It is me"))
    done = bot.chat.completions.create(model="second/n", messages=ASKED)

    assert done.model == "second/n"
    assert asked_of(upstream)["model"] == "n"
    with pytest.raises(openai.NotFoundError) as caught:
        bot.chat.completions.create(model="nobody/x", messages=ASKED)
    assert caught.value.code == "model_not_found"


def test_the_service_is_told_more_by_a_member_of_its_own(bot: openai.OpenAI, upstream: FakeProvider) -> None:
    upstream.script(refuses(500), says("Yes"))
    told = {"task_type": "poetry", "excluded_models": ["first/m"], "max_attempts": 2, "request_id": "mine"}
    done = bot.chat.completions.create(model="agent:", messages=ASKED, extra_body={"imrs": told})

    about = (done.model_extra or {})["imrs"]
    assert (done.model, about["task_type"]) == ("second/n", "poetry")
    assert [each["error_kind"] for each in about["failed_attempts"]] == ["overloaded"]
    with pytest.raises(openai.BadRequestError, match="imrs"):
        bot.chat.completions.create(model="agent:", messages=ASKED, extra_body={"imrs": {"nothing": 1}})


def test_the_next_model_stands_in_before_anything_is_told(bot: openai.OpenAI, upstream: FakeProvider) -> None:
    upstream.script(refuses(503), streams("Yes"))
    with bot.chat.completions.create(model="agent:bot", messages=ASKED, stream=True) as stream:
        chunks = list(stream)

    assert {each.model for each in chunks} == {"second/n"}
    about = (chunks[-1].model_extra or {})["imrs"]
    assert [each["model_id"] for each in about["failed_attempts"]] == ["first/m"]


@pytest.mark.parametrize("streamed", [False, True])
def test_failures_have_the_classes_of_the_client(door: Door, upstream: FakeProvider, streamed: bool) -> None:
    upstream.calm()

    def fails(kind: type[openai.APIStatusError], behaviour: Behaviour) -> openai.APIStatusError:
        upstream.script(behaviour)
        agent = brittle(door, upstream)
        with pytest.raises(kind) as caught:
            agent.chat.completions.create(model="agent:", messages=ASKED, stream=streamed)
        assert caught.value.type is not None
        return caught.value

    limited = fails(openai.RateLimitError, refuses(429, retry_after="7"))
    assert (limited.code, limited.response.headers["retry-after"]) == ("rate_limit_exceeded", "7")
    too_long = fails(openai.BadRequestError, refuses(400, "context_length_exceeded"))
    assert too_long.code == "context_length_exceeded"
    assert fails(openai.BadRequestError, refuses(400, "content_filter")).code == "content_filter"
    broken = fails(openai.InternalServerError, refuses(500))
    assert (broken.status_code, broken.type) == (503, "server_error")
    assert fails(openai.InternalServerError, answer(b"nonsense")).status_code == 502


def test_an_answer_that_breaks_off_is_an_error_in_the_stream(door: Door, upstream: FakeProvider) -> None:
    upstream.calm()
    upstream.keeps = False
    upstream.script(breaks_off("Hello"))
    try:
        agent = brittle(door, upstream)
        with agent.chat.completions.create(model="agent:", messages=ASKED, stream=True) as stream:
            assert next(stream).choices[0].delta.content == "Hello"
            with pytest.raises(openai.APIError) as caught:
                next(stream)
    finally:
        upstream.keeps = True
    body: Any = caught.value.body
    assert body["imrs"]["failed_attempts"][0]["error_kind"] == "mid_stream"


def test_who_is_not_known_or_not_allowed_is_told_so(door: Door, bot: openai.OpenAI) -> None:
    with pytest.raises(openai.AuthenticationError) as caught:
        door.client("nonsense").chat.completions.create(model="agent:bot", messages=ASKED)
    assert caught.value.code == "invalid_api_key"
    user = door.client(door.service.token(Role.USER))
    with pytest.raises(openai.PermissionDeniedError):
        user.chat.completions.create(model="agent:bot", messages=ASKED)
    with pytest.raises(openai.PermissionDeniedError):
        bot.chat.completions.create(model="agent:poor", messages=ASKED)
    with pytest.raises(openai.NotFoundError):
        door.tenant.chat.completions.create(model="agent:nobody", messages=ASKED)
    found = post(door, "chat/completions", json={})
    assert (found.status_code, found.json()["error"]["code"]) == (401, "invalid_api_key")


@pytest.mark.parametrize(
    ("body", "param"),
    [
        (b"{", None),
        (b"[]", None),
        (b'{"a": NaN}', None),
        (b'{"model": "agent:", "messages": [{"role": "user", "content": "\\ud83d"}]}', None),
        (b'{"model": "agent:", "messages": [{"role": "user", "content": "\xed\xa0\xbd"}]}', None),
        (b'{"model": "agent:", "messages": [{"role": "user"}], "max_tokens": 1e999}', None),
        (b'{"model": "agent:", "messages": [{"role": "user"}], "seed": 1' + b"0" * 400 + b"}", None),
        (b'{"model": "agent:", "messages": [{"role": "user"}], "modalities": 1}', "modalities"),
        (b"[" * 100_000, None),
        (b"{}", "model"),
        (b'{"model": 1}', "model"),
        (b'{"model": "agent:"}', "messages"),
        (b'{"model": "agent:", "messages": ["x"]}', "messages"),
        (b'{"model": "agent:", "messages": [{"role": "user", "content": 1}]}', "messages[0].content"),
        (b'{"model": "agent:", "messages": [{"role": "user", "content": [{"type": "x"}]}]}', None),
        (b'{"model": "agent:", "messages": [{"role": "USER", "content": "x"}]}', "messages[0].role"),
        (b'{"model": "agent:", "messages": [{"role": "user"}], "n": 2}', "n"),
        (b'{"model": "agent:", "messages": [{"role": "user"}], "temperature": "hot"}', "temperature"),
        (b'{"model": "agent:", "messages": [{"role": "user"}], "max_tokens": 1.5}', "max_tokens"),
        (b'{"model": "agent:", "messages": [{"role": "user"}], "stop": [1]}', "stop"),
        (b'{"model": "agent:", "messages": [{"role": "user"}], "tool_choice": "some"}', "tool_choice"),
        (b'{"model": "agent:", "messages": [{"role": "user"}], "functions": []}', "functions"),
        (b'{"model": "agent:", "messages": [{"role": "user"}], "metadata": 1}', "metadata"),
        # Nobody could take back what a client of OpenAI's API has shown.
        (b'{"model": "agent:", "messages": [], "imrs": {"allow_mid_stream_fallback": true}}', "imrs"),
    ],
)
def test_what_is_no_request_is_told_which_member_is_at_fault(
    door: Door, body: bytes, param: str | None
) -> None:
    headers = {"authorization": f"Bearer {door.service.token(Role.AGENT, agent_id='bot')}"}
    found = post(door, "chat/completions", content=body, headers=headers)

    assert found.status_code == 400
    error = found.json()["error"]
    assert error["type"] == "invalid_request_error"
    assert set(error) >= {"message", "type", "param", "code"}
    if param is not None:
        assert error["param"] == param


def test_a_body_without_end_is_not_read(door: Door) -> None:
    headers = {"authorization": "Bearer x"}
    found = post(door, "chat/completions", content=b" " * (9 << 20), headers=headers)

    assert found.status_code == 413


@pytest.mark.parametrize("path", ["responses", "completions", "audio/speech", ""])
def test_what_is_not_there_is_told_in_the_same_shape(door: Door, path: str) -> None:
    found = post(door, path, json={})

    assert found.status_code == 404
    assert found.json()["error"]["code"] == "unknown_url"


def test_a_request_that_grows_too_large_on_its_way_is_no_reason_to_try_again(
    door: Door, bot: openai.OpenAI
) -> None:
    # Numbers take more of a Struct than of JSON.
    tool: Any = {"type": "function", "function": {"name": "f", "parameters": {"a": [1] * 1_000_000}}}
    with pytest.raises(openai.APIStatusError) as caught:
        bot.chat.completions.create(model="agent:bot", messages=ASKED, tools=[tool])
    assert caught.value.status_code == 413


def test_the_callers_id_comes_back(door: Door) -> None:
    found = httpx.get(f"{door.url}/v1/models", headers={"x-request-id": "mine"}, timeout=SECONDS)

    assert (found.status_code, found.headers["x-request-id"]) == (401, "mine")


@pytest.mark.parametrize("streamed", [False, True])
def test_who_goes_away_ends_the_call(door: Door, upstream: FakeProvider, streamed: bool) -> None:
    upstream.calm()
    asked, gone = threading.Event(), threading.Event()
    upstream.script(_until_gone(asked, gone))
    ticket = f"gone-{next(NUMBERS)}"
    with asking(door, stream=streamed, metadata={"ticket": ticket}):
        assert asked.wait(SECONDS)

    assert gone.wait(SECONDS)
    eventually(lambda: outcome(door, ticket) == "CANCELLED")


def test_who_leaves_a_stream_ends_the_call(door: Door, bot: openai.OpenAI, upstream: FakeProvider) -> None:
    upstream.script(goes_on("Hello"))
    ticket = f"left-{next(NUMBERS)}"
    with bot.chat.completions.create(
        model="agent:bot", messages=ASKED, stream=True, metadata={"ticket": ticket}
    ) as stream:
        assert next(stream).choices[0].delta.content == "Hello"

    eventually(lambda: outcome(door, ticket) == "CANCELLED")


def test_who_reads_slowly_slows_the_model_down_and_fills_no_memory(
    door: Door, upstream: FakeProvider
) -> None:
    upstream.calm()
    written = [0]
    ended = threading.Event()
    upstream.script(_speaks_on(written, ended))
    with asking(door, stream=True) as caller:
        assert caller.recv(15) == b"HTTP/1.1 200 OK"
        # It is held up when nothing more goes out for a while.
        eventually(lambda: _stands_still(written), SECONDS)
        assert 0 < written[0] < 48 << 20

    assert ended.wait(SECONDS)


def test_an_agent_sees_itself_and_its_models_and_a_tenant_its_agents(door: Door, bot: openai.OpenAI) -> None:
    assert {each.id for each in bot.models.list()} == {"agent:bot", "first/m", "second/n"}
    assert bot.models.retrieve("first/m").owned_by == "first"
    assert {each.id for each in door.agent("poor").models.list()} == {"agent:poor", "first/m"}
    assert {"agent:bot", "agent:poor"} <= {each.id for each in door.tenant.models.list()}
    with pytest.raises(openai.NotFoundError):
        bot.models.retrieve("nobody/x")


def brittle(door: Door, upstream: FakeProvider) -> openai.OpenAI:
    """An agent whose one model has not failed yet: who fails often is not asked for a while."""
    name = f"brittle-{next(NUMBERS)}"
    furnish(door.service, name, f"{upstream.url}/v1", "m")
    employ(door.service, name, f"{name}/m", fallback_model_ids=pb.StringList())
    return door.agent(name)


def outcome(door: Door, ticket: str) -> str:
    """What became of the call that was made for a ticket, as far as it is stored."""
    dsn = door.service.settings.database_url.get_secret_value()
    with psycopg.connect(dsn) as connection:
        statement = "select outcome from messages where metadata ->> 'ticket' = %s"
        found = connection.execute(statement, [ticket]).fetchone()
    return str(found and found[0])


def _until_gone(asked: threading.Event, gone: threading.Event) -> Behaviour:
    """Says nothing, and notices when nobody listens any more."""

    def behave(handler: Any) -> None:
        asked.set()
        handler.connection.settimeout(SECONDS)
        if not handler.connection.recv(1):
            gone.set()

    return behave


def _speaks_on(written: list[int], ended: threading.Event) -> Behaviour:
    """As much as anybody takes, more than an answer may have; counts the bytes."""

    def behave(handler: Any) -> None:
        piece = event({"choices": [{"index": 0, "delta": {"content": "x" * 65_536}}]})
        handler.raw(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n")
        try:
            while written[0] < 1 << 30:
                handler.raw(piece)
                written[0] += len(piece)
        finally:
            ended.set()

    return behave


def _stands_still(written: list[int]) -> bool:
    before = written[0]
    time.sleep(0.5)
    return 0 < before == written[0]
