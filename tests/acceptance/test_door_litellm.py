"""The stock `openai` package -> the door -> LiteLLM's proxy, a server that we did not write, and back.

It is installed and run by ``make test-litellm``.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import openai
import pytest

from imrs_client import v1 as pb
from tests.support import chatting
from tests.support.door import Door, employ, furnish, opened
from tests.support.litellm import KEY, PROGRAM, serving
from tests.support.provider import FakeProvider, answer

if TYPE_CHECKING:
    from collections.abc import Iterator

    from openai.types.chat import ChatCompletionMessageParam

    from tests.support.service import Service

pytestmark = pytest.mark.skipif(not PROGRAM, reason="run by make test-litellm")

ANSWER = "Good day to you, from somebody else's server"
ARGUMENTS = {"city": "Bern"}
CALL = {
    "id": "call_1",
    "type": "function",
    "function": {"name": "weather", "arguments": json.dumps(ARGUMENTS)},
}
TOOL: Any = {"type": "function", "function": {"name": "weather", "parameters": {"type": "object"}}}
ASKED: list[ChatCompletionMessageParam] = [{"role": "user", "content": "Hello"}]


@pytest.fixture(scope="module")
def behind() -> Iterator[FakeProvider]:
    """What the proxy itself calls where its mock leaves something out."""
    with FakeProvider(b"", keeps=True) as started:
        yield started


@pytest.fixture(scope="module")
def door(
    shared_service: Service, behind: FakeProvider, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Door]:
    models: dict[str, dict[str, Any]] = {
        "speaks": {"mock_response": ANSWER},
        "calls": {"mock_response": "", "mock_tool_calls": [CALL]},
        "forwards": {"api_base": f"{behind.url}/v1"},
        "limited": {"mock_response": "litellm.RateLimitError"},
        "broken": {"mock_response": "litellm.InternalServerError"},
        # One each for those who fall back: who fails often is left alone for a while.
        "shaky": {"mock_response": "litellm.InternalServerError"},
        "shaky-streamed": {"mock_response": "litellm.InternalServerError"},
        "short": {"mock_response": "litellm.ContextWindowExceededError"},
    }
    service = shared_service
    with serving(models, tmp_path_factory.mktemp("litellm")) as url:
        furnish(service, "litellm", f"{url}/v1", *models, key=KEY)
        for name in models:
            none = pb.StringList()
            employ(service, name, f"litellm/{name}", fallback_model_ids=none)
        for name in ("shaky", "shaky-streamed"):
            employ(
                service,
                f"safe-{name}",
                f"litellm/{name}",
                "litellm/speaks",
                default_model_id=f"litellm/{name}",
            )
        with opened(service) as found:
            yield found


def ask(door: Door, agent_id: str, **fields: Any) -> Any:
    client = door.agent(agent_id, timeout=60)
    return client.chat.completions.create(model=f"agent:{agent_id}", messages=ASKED, **fields)


def test_a_whole_answer(door: Door) -> None:
    done = ask(door, "speaks", temperature=0.5, max_tokens=100, stop="END")

    assert (done.choices[0].message.content, done.choices[0].finish_reason) == (ANSWER, "stop")
    assert done.model == "litellm/speaks"
    assert done.usage.prompt_tokens > 0
    assert done.usage.completion_tokens > 0


def test_an_answer_in_pieces(door: Door) -> None:
    with ask(door, "speaks", stream=True, stream_options={"include_usage": True}) as stream:
        chunks = list(stream)

    assert "".join(each.choices[0].delta.content or "" for each in chunks if each.choices) == ANSWER
    assert sum(bool(each.choices and each.choices[0].delta.content) for each in chunks) > 1
    assert chunks[-2].choices[0].finish_reason == "stop"
    assert chunks[-1].usage.completion_tokens > 0


def test_a_tool_is_called(door: Door) -> None:
    (choice,) = ask(door, "calls", tools=[TOOL]).choices

    (call,) = choice.message.tool_calls
    assert (choice.finish_reason, call.id, call.function.name) == ("tool_calls", "call_1", "weather")
    assert json.loads(call.function.arguments) == ARGUMENTS


def test_a_tool_is_called_in_pieces(door: Door, behind: FakeProvider) -> None:
    first = {**CALL, "index": 0, "function": {"name": "weather", "arguments": ""}}
    more = {"index": 0, "function": {"arguments": json.dumps(ARGUMENTS)}}
    deltas: list[Any] = [{"role": "assistant", "tool_calls": [first]}, {"tool_calls": [more]}]
    head = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "forwards"}
    chunks: list[Any] = [{**head, "choices": [{"index": 0, "delta": each}]} for each in deltas]
    chunks.append({**head, "choices": [{"index": 0, "delta": {}, "finish_reason": "tool_calls"}]})
    chunks.append({**head, "choices": [], "usage": {**chatting.USAGE, "total_tokens": 1500}})
    body = b"".join(map(chatting.event, chunks)) + b"data: [DONE]\n\n"
    behind.script(answer(body, kind="text/event-stream"))
    client = door.agent("forwards", timeout=60)
    with client.chat.completions.stream(model="agent:forwards", messages=ASKED, tools=[TOOL]) as stream:
        (choice,) = stream.get_final_completion().choices

    assert choice.finish_reason == "tool_calls"
    assert choice.message.tool_calls is not None
    (call,) = choice.message.tool_calls
    assert (call.id, call.function.name) == ("call_1", "weather")
    assert json.loads(call.function.arguments) == ARGUMENTS


@pytest.mark.parametrize("streamed", [False, True])
def test_it_fails(door: Door, streamed: bool) -> None:
    with pytest.raises(openai.RateLimitError):
        ask(door, "limited", stream=streamed)
    with pytest.raises(openai.InternalServerError):
        ask(door, "broken", stream=streamed)
    with pytest.raises(openai.BadRequestError) as caught:
        ask(door, "short", stream=streamed)
    assert caught.value.code == "context_length_exceeded"


@pytest.mark.parametrize("streamed", [False, True])
def test_another_model_stands_in(door: Door, streamed: bool) -> None:
    shaky = "shaky-streamed" if streamed else "shaky"
    found = ask(door, f"safe-{shaky}", stream=streamed)
    last = list(found)[-1] if streamed else found

    assert last.model == "litellm/speaks"
    assert [each["model_id"] for each in last.imrs["failed_attempts"]] == [f"litellm/{shaky}"]
