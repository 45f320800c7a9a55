"""Traces of calls and of the models that they call, as a collector gets them."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import pytest
import structlog
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from pydantic import SecretStr, ValidationError

from imrs_client import ImrsError
from imrs_client import v1 as pb
from imrs_server.settings import Settings
from imrs_server.telemetry import tracing
from tests.support import patience
from tests.support.chatting import refuses, says
from tests.support.collector import Collector, Span
from tests.support.provider import FakeProvider
from tests.support.service import Service, serving
from tests.support.waiting import eventually

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.conftest import Vault

WORD = "PROMPT5c81e0"
VECTOR = b'{"data": [{"index": 0, "embedding": [0.5]}], "usage": {"prompt_tokens": 7, "total_tokens": 7}}'
TRACE_ID, SPAN_ID = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"


@pytest.fixture
def collector(monkeypatch: pytest.MonkeyPatch) -> Iterator[Collector]:
    """One that a server waits for, however slow the machine is."""

    def exporter(**options: Any) -> OTLPSpanExporter:
        return OTLPSpanExporter(**options | {"timeout": patience.SECONDS})

    monkeypatch.setattr(tracing, "OTLPSpanExporter", exporter)
    with Collector() as found:
        yield found


def parent(*, sampled: bool) -> tuple[tuple[str, str], ...]:
    return (("traceparent", f"00-{TRACE_ID}-{SPAN_ID}-0{int(sampled)}"),)


def furnish(service: Service, first: FakeProvider, second: FakeProvider) -> None:
    for name, each, priority in (("first", first, 90), ("second", second, 10)):
        provider = pb.Provider(
            provider_id=name, provider_type=pb.Provider.Type.CUSTOM, api_base=each.url, api_key="a key"
        )
        service.platform.admin.CreateProvider(pb.CreateProviderRequest(provider=provider))
        model = pb.Model(provider_id=name, external_id="m", priority=priority)
        service.platform.catalog.CreateModel(pb.CreateModelRequest(model=model))
    embeds = pb.Model(provider_id="second", external_id="e", model_type=pb.Model.Type.EMBEDDING)
    service.platform.catalog.CreateModel(pb.CreateModelRequest(model=embeds))
    second.page("/embeddings", VECTOR)
    tenant = service.tenant
    routing = pb.RoutingPolicy(exploration=pb.RoutingPolicy.Exploration.OFF)
    tenant.admin.CreateAgent(pb.CreateAgentRequest(agent=pb.Agent(agent_id="bot", routing=routing)))
    tenant.admin.EnableAgentModels(pb.EnableAgentModelsRequest(agent_id="bot", filter=pb.ModelFilter()))
    service.settled(tenant)


def complete(service: Service, metadata: Any) -> None:
    request = pb.CompleteRequest(
        route=pb.RouteRequest(agent_id="bot", message=WORD, conversation_id="c-1"),
        messages=[pb.ChatMessage(role="user", content=f"What is {WORD}?")],
    )
    list(service.agent("bot").route.Complete(request, metadata=metadata))


def test_a_trace_shows_the_call_and_each_model_below_it_and_nothing_that_was_said(
    database: str, vault: Vault, collector: Collector
) -> None:
    options: dict[str, Any] = {"traces_url": collector.url, "traces_sample": 0.0}
    with (
        FakeProvider(b"") as first,
        FakeProvider(b"") as second,
        serving(database, vault, **options) as service,
    ):
        furnish(service, first, second)
        first.script(refuses(500, message=WORD))
        second.script(says(WORD))
        complete(service, parent(sampled=True))
        embed = pb.EmbedRequest(inputs=[WORD])
        service.agent("bot").route.Embed(embed, metadata=parent(sampled=True))
        with pytest.raises(ImrsError):
            service.agent("bot").route.Route(pb.RouteRequest(domains=["none"]), metadata=parent(sampled=True))
        # Neither of these is to be traced.
        service.agent("bot").route.Route(pb.RouteRequest(), metadata=parent(sampled=False))
        service.agent("bot").route.Route(pb.RouteRequest())
    # Whoever stops sends what waits.
    found = {each.name: each for each in collector.spans}
    calls = {f"imrs.v1.RouteService/{name}" for name in ("Complete", "Embed", "Route")}
    assert found.keys() == {*calls, "chat m", "embeddings e"}
    embedding = found["embeddings e"]
    assert embedding.parent_id == found["imrs.v1.RouteService/Embed"].span_id
    assert embedding.attributes["gen_ai.usage.input_tokens"] == 7
    call = found["imrs.v1.RouteService/Complete"]
    chats = sorted((each for each in collector.spans if each.name == "chat m"), key=lambda each: each.start)
    assert {each.trace_id for each in collector.spans} == {TRACE_ID}
    assert call.parent_id == SPAN_ID
    assert [each.parent_id for each in chats] == [call.span_id] * 2
    assert all(call.start <= each.start <= each.end <= call.end for each in chats)
    _check_call(call)
    _check_chats(*chats)
    refused = found["imrs.v1.RouteService/Route"].attributes
    assert (refused["error.type"], refused["rpc.grpc.status_code"]) == ("NO_ELIGIBLE_MODEL", 9)
    assert not any(WORD.encode() in each or b"a key" in each for each in collector.bodies)


def _check_call(call: Span) -> None:
    assert not call.failed
    known = {"rpc.system": "grpc", "rpc.method": "Complete", "rpc.grpc.status_code": 0, "enduser.id": "agent"}
    assert {name: call.attributes[name] for name in known} == known
    assert call.resource["service.name"] == "imrs"


def _check_chats(failed: Span, served: Span) -> None:
    assert (failed.failed, served.failed) == (True, False)
    assert (failed.attributes["gen_ai.provider.name"], failed.attributes["error.type"]) == (
        "first",
        "overloaded",
    )
    known = {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "second",
        "gen_ai.request.model": "m",
        "gen_ai.agent.id": "bot",
        "gen_ai.conversation.id": "c-1",
        "gen_ai.usage.input_tokens": 1000,
        "gen_ai.usage.output_tokens": 500,
        "gen_ai.usage.cache_read.input_tokens": 200,
        "gen_ai.response.finish_reasons": ["stop"],
    }
    assert {name: served.attributes[name] for name in known} == known


def test_a_share_of_the_calls_of_callers_who_say_nothing_begins_traces(
    database: str, vault: Vault, collector: Collector
) -> None:
    options: dict[str, Any] = {"traces_url": collector.url, "traces_sample": 1.0, "access_log": True}
    with (
        structlog.testing.capture_logs() as lines,
        serving(database, vault, **options) as service,
    ):
        service.platform.admin.ListProviders(pb.ListProvidersRequest())
        service.platform.admin.ListProviders(pb.ListProvidersRequest())
        eventually(lambda: len(collector.spans) == 2)
    one, other = collector.spans
    told = [each["trace_id"] for each in lines if each["event"] == "call"]
    assert sorted(told) == sorted((one.trace_id, other.trace_id))
    assert one.name == other.name == "imrs.v1.AdminService/ListProviders"
    assert one.trace_id != other.trace_id
    assert one.parent_id == other.parent_id == ""


def test_calls_go_on_where_nobody_collects(database: str, vault: Vault) -> None:
    with serving(database, vault, traces_url="http://127.0.0.1:9", traces_sample=1.0) as service:
        service.platform.admin.ListProviders(pb.ListProvidersRequest())


SETTINGS: dict[str, Any] = {
    "database_url": SecretStr("postgresql://127.0.0.1/x"),
    "vault_addr": "http://127.0.0.1:9",
    "vault_role_id": "r",
    "vault_secret_id": SecretStr("s"),
    "jwt_secrets": (SecretStr("x" * 32),),
}


def test_an_address_that_is_none_is_refused() -> None:
    with pytest.raises(ValidationError, match="IMRS_TRACES_URL must be"):
        Settings(**SETTINGS, traces_url="127.0.0.1:4318")


def test_without_the_extra_its_name_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "opentelemetry", None)
    with pytest.raises(ValidationError, match="needs the extra otel"):
        Settings(**SETTINGS, traces_url="http://127.0.0.1:4318")
    assert Settings(**SETTINGS).traces_url == ""
