"""Requests for answers, and answers put together from their events."""

from __future__ import annotations

from decimal import Decimal

import pytest
from google.protobuf.json_format import MessageToDict

from imrs_client.completion import Answer, request
from imrs_client.v1 import ChatMessage, CompleteEvent, Decision, Parameters, ToolCall


def test_a_text_is_what_the_user_says() -> None:
    found = request("Hello", stream=True, fields={})
    assert [(each.role, each.content) for each in found.messages] == [("user", "Hello")]
    assert found.stream
    assert not found.HasField("route")


def test_turns_are_messages_or_their_fields() -> None:
    turns: list[ChatMessage | dict[str, str]] = [
        {"role": "system", "content": "Be brief"},
        ChatMessage(role="user", content="Hello"),
    ]
    assert [each.role for each in request(turns, stream=False, fields={}).messages] == ["system", "user"]


def test_fields_find_their_place() -> None:
    tool = {"type": "function", "function": {"name": "weather"}}
    fields = {
        "agent_id": "bot",
        "parameters": Parameters(temperature=0.5),
        "max_attempts": 2,
        "tools": [tool],
        "response_format": {"type": "json_object"},
        "metadata": {"ticket": 7},
    }
    found = request("Hello", stream=False, fields=fields)
    assert (found.route.agent_id, found.route.parameters.temperature, found.max_attempts) == ("bot", 0.5, 2)
    assert [MessageToDict(each) for each in found.tools] == [tool]
    assert found.response_format["type"] == "json_object"
    assert found.metadata["ticket"] == 7


def test_an_unknown_field_is_named() -> None:
    with pytest.raises(ValueError, match="temprature"):
        request("Hello", stream=False, fields={"temprature": 1})


def test_pieces_become_an_answer() -> None:
    answer = Answer()
    fragments = (
        ToolCall(index=1, id="c2", name="time"),
        ToolCall(index=0, id="c1", name="weather", arguments='{"city"'),
        ToolCall(index=0, arguments=': "Oslo"}'),
    )
    events = [
        CompleteEvent(decision=Decision(decision_id="d")),
        CompleteEvent(attempt_failed=CompleteEvent.AttemptFailed(model_id="p/a", error_kind="auth")),
        CompleteEvent(delta=CompleteEvent.Delta(content="It is ")),
        *(CompleteEvent(delta=CompleteEvent.Delta(tool_calls=[each])) for each in fragments),
        CompleteEvent(delta=CompleteEvent.Delta(content="cold")),
    ]
    assert [answer.take(each) is not None for each in events] == [False, False, *[True] * 5]
    with pytest.raises(ValueError, match="not ended"):
        answer.completion()
    answer.take(CompleteEvent(completed=CompleteEvent.Completed(model_id="p/b", cost_usd="0.1")))
    done = answer.completion()
    assert (done.content, done.model_id, done.cost_usd) == ("It is cold", "p/b", Decimal("0.1"))
    assert [(each.id, each.name, each.arguments) for each in done.tool_calls] == [
        ("c1", "weather", '{"city": "Oslo"}'),
        ("c2", "time", ""),
    ]
    assert [each.error_kind for each in done.failed_attempts] == ["auth"]


def test_no_price_is_no_cost() -> None:
    answer = Answer()
    answer.take(CompleteEvent(decision=Decision()))
    answer.take(CompleteEvent(completed=CompleteEvent.Completed()))
    assert answer.completion().cost_usd is None
