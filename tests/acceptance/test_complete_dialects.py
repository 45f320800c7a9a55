"""Complete with providers of other dialects than OpenAI's: the same conversation, in each one's words."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from google.protobuf.json_format import ParseDict
from google.protobuf.struct_pb2 import Struct

from imrs_client import v1 as pb
from tests.support.chat_shapes import (
    delta,
    message_end,
    message_start,
    named,
    sse,
    stream,
    text_block,
    tool_block,
    usage,
)
from tests.support.provider import FakeProvider

if TYPE_CHECKING:
    from collections.abc import Iterator

    from imrs_client import ImrsClient
    from tests.support.service import Service

TOOL = {
    "type": "function",
    "function": {"name": "weather", "parameters": {"type": "object", "maxProperties": 3}},
}
MESSAGES = [
    pb.ChatMessage(role="system", content="Be brief"),
    pb.ChatMessage(role="user", content="How is the weather in Bern?"),
]


def struct(value: dict[str, Any]) -> Struct:
    return ParseDict(value, Struct())


@pytest.fixture
def upstream() -> Iterator[FakeProvider]:
    with FakeProvider(b"") as provider:
        yield provider


def bot(service: Service, upstream: FakeProvider, path: str, **fields: Any) -> ImrsClient:
    """An agent with the one model `m` of a provider at this address."""
    platform = service.platform
    provider = pb.Provider(provider_id="theirs", api_base=upstream.url + path, api_key="sk-theirs", **fields)
    platform.admin.CreateProvider(pb.CreateProviderRequest(provider=provider))
    platform.catalog.CreateModel(
        pb.CreateModelRequest(
            model=pb.Model(
                provider_id="theirs",
                external_id="m",
                capabilities=["function_calling"],
                context_length=100_000,
                max_output_tokens=2_000,
            )
        )
    )
    service.settled(platform)
    tenant = service.tenant
    tenant.admin.CreateAgent(pb.CreateAgentRequest(agent=pb.Agent(agent_id="bot")))
    everything = pb.EnableAgentModelsRequest(agent_id="bot", filter=pb.ModelFilter())
    tenant.admin.EnableAgentModels(everything)
    service.settled(tenant)
    return service.agent("bot")


def asking(**fields: Any) -> pb.CompleteRequest:
    parameters = pb.Parameters(temperature=0.5, extra=struct({"seed": 7}))
    route = pb.RouteRequest(parameters=parameters)
    tools = [struct(TOOL)]
    return pb.CompleteRequest(route=route, messages=MESSAGES, tools=tools, tool_choice="required", **fields)


def call(client: ImrsClient, request: pb.CompleteRequest) -> tuple[list[pb.CompleteEvent.Delta], Any]:
    """The pieces of the answer, and its end."""
    events = list(client.route.Complete(request))
    assert events[0].HasField("decision")
    pieces = [event.delta for event in events if event.HasField("delta")]
    return pieces, events[-1].completed


@pytest.mark.parametrize("streamed", [True, False])
def test_anthropic(service: Service, upstream: FakeProvider, streamed: bool) -> None:
    client = bot(
        service,
        upstream,
        "/v1",
        provider_type=pb.Provider.Type.ANTHROPIC,
        options=struct({"headers": {"anthropic-beta": "some-2026-01-01"}}),
    )
    events = named(
        message_start(input_tokens=20, cache_read_input_tokens=10, output_tokens=1),
        *text_block(0, "I ", "look"),
        *tool_block(1, "toolu_1", "weather", '{"city": ', '"Bern"}'),
        *message_end("tool_use", output_tokens=30),
    )
    # Streamed or not as it was asked, the caller gets the same.
    upstream.script(stream(events))

    pieces, end = call(client, asking(stream=streamed))

    assert "".join(each.content for each in pieces) == "I look"
    calls = [each for piece in pieces for each in piece.tool_calls]
    assert "".join(each.id for each in calls) == "toolu_1"
    assert json.loads("".join(each.arguments for each in calls)) == {"city": "Bern"}
    assert end.finish_reason == "tool_calls"
    assert (end.usage.prompt_tokens, end.usage.completion_tokens, end.usage.cached_tokens) == (30, 30, 10)
    assert not end.usage.estimated

    (asked,) = upstream.requests
    assert (asked.path, asked.headers["x-api-key"]) == ("/v1/messages", "sk-theirs")
    assert asked.headers["anthropic-beta"] == "some-2026-01-01"
    body = json.loads(asked.body)
    assert body == {
        "model": "m",
        "max_tokens": 2_000,
        "temperature": 0.5,
        "system": [{"type": "text", "text": "Be brief"}],
        "messages": [{"role": "user", "content": [{"type": "text", "text": MESSAGES[1].content}]}],
        "tools": [{"name": "weather", "input_schema": {"type": "object", "maxProperties": 3}}],
        "tool_choice": {"type": "any"},
        **({"stream": True} if streamed else {}),
    }


def test_azure(service: Service, upstream: FakeProvider) -> None:
    client = bot(
        service,
        upstream,
        "",
        provider_type=pb.Provider.Type.AZURE,
        options=struct({"api_version": "2026-01-01"}),
    )
    upstream.script(stream(sse(delta("Fine", "stop"), {"choices": [], "usage": usage(20, 5)})))

    pieces, end = call(client, asking(stream=True))

    assert [each.content for each in pieces] == ["Fine"]
    assert (end.usage.prompt_tokens, end.usage.completion_tokens) == (20, 5)
    (asked,) = upstream.requests
    assert asked.path == "/openai/deployments/m/chat/completions?api-version=2026-01-01"
    assert asked.headers["api-key"] == "sk-theirs"
    body = json.loads(asked.body)
    assert (body["seed"], body["tool_choice"]) == (7, "required")
    assert b"7.0" not in asked.body


def test_gemini_behind_its_other_door(service: Service, upstream: FakeProvider) -> None:
    client = bot(service, upstream, "/v1beta", provider_type=pb.Provider.Type.CUSTOM, dialect="gemini")
    whole = [{"id": "", "type": "function", "function": {"name": "weather", "arguments": "{}"}}]
    upstream.script(stream(sse(delta(tool_calls=whole), delta(finish_reason="stop"))))

    pieces, end = call(client, asking(stream=True))

    (asked_for,) = pieces[0].tool_calls
    assert asked_for.id.startswith("call_")
    assert (asked_for.name, asked_for.arguments, end.finish_reason) == ("weather", "{}", "tool_calls")
    assert end.usage.estimated
    (asked,) = upstream.requests
    assert asked.path == "/v1beta/openai/chat/completions"
    assert asked.headers["authorization"] == "Bearer sk-theirs"
