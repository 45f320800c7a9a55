"""What a whole server counts, and the limits that its settings set."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import pytest
import structlog

from imrs_client import Cancelled, ResourceExhausted, Unauthenticated
from imrs_client import v1 as pb
from tests.support import patience
from tests.support.service import Service, serving
from tests.support.waiting import eventually

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.conftest import Vault

ENDS = ("Canceled", "OK")


@pytest.fixture
def service(database: str, vault: Vault) -> Iterator[Service]:
    with serving(database, vault, max_streams=1) as found:
        provider = pb.Provider(
            provider_id="p", provider_type=pb.Provider.Type.OLLAMA, api_base="http://127.0.0.1:9"
        )
        found.platform.admin.CreateProvider(pb.CreateProviderRequest(provider=provider))
        found.platform.catalog.CreateModel(
            pb.CreateModelRequest(model=pb.Model(provider_id="p", external_id="m"))
        )
        tenant = found.tenant
        tenant.admin.CreateAgent(pb.CreateAgentRequest(agent=pb.Agent(agent_id="bot")))
        tenant.admin.EnableAgentModels(pb.EnableAgentModelsRequest(agent_id="bot", model_ids=["p/m"]))
        found.settled(tenant)
        yield found


def figure(service: Service, name: str, **labels: str) -> float | None:
    figures = service.app._observers.figures
    assert figures is not None
    figures.fold()
    return figures.registry.get_sample_value(name, labels)


def handled(service: Service, method: str, code: str, kind: str = "unary") -> float | None:
    labels = {"grpc_type": kind, "grpc_service": "imrs.v1.RouteService", "grpc_method": method}
    return figure(service, "grpc_server_handled_total", **labels, grpc_code=code)


def test_decisions_and_votes_are_counted(service: Service) -> None:
    bot = service.agent("bot")
    decisions = [bot.choose() for _ in range(3)]
    bot.route.BatchRoute(pb.BatchRouteRequest(requests=[pb.RouteRequest()] * 5))
    assert handled(service, "Route", "OK") == 3
    assert handled(service, "BatchRoute", "OK") == 1
    reasons = {pb.Decision.Reason.Name(each.reason) for each in decisions}
    eventually(
        lambda: sum(figure(service, "imrs_decisions_total", reason=each) or 0 for each in reasons) == 8
    )
    message = bot.record(decision_id=decisions[0].decision_id, latency_ms=5)
    service.user.rate(message.message_id, 1.0)
    assert figure(service, "imrs_feedback_committed_total") == 1
    assert figure(service, "imrs_feedback_commits_total") == 1
    assert figure(service, "imrs_decisions_dropped_total") == 0
    # What was decided and rated is counted meanwhile, which moves it.
    eventually(lambda: figure(service, "imrs_index_revision") == service.app.index.revision)


def test_calls_are_counted_by_how_they_ended(service: Service) -> None:
    bot = service.agent("bot")
    with patience.client(service.app.address, "nobody") as nobody, pytest.raises(Unauthenticated):
        nobody.choose()
    assert handled(service, "Route", "Unauthenticated") == 1

    end = threading.Event()

    def requests() -> Iterator[pb.RouteRequest]:
        yield pb.RouteRequest()
        end.wait(60)

    first = bot.route.StreamRoutes(requests())
    assert next(first).selected.model_id == "p/m"
    with pytest.raises(ResourceExhausted) as caught:
        next(bot.route.StreamRoutes(iter([pb.RouteRequest()]), timeout=20))
    assert caught.value.reason == "OVERLOADED"
    assert (handled(service, "StreamRoutes", "ResourceExhausted", "bidi_stream") or 0) >= 1
    with structlog.testing.capture_logs() as lines:
        first.cancel()
        end.set()
        with pytest.raises(Cancelled):
            next(first)
        # The requests may be seen to end before the call is, and then all is well.
        eventually(lambda: 1 in [handled(service, "StreamRoutes", each, "bidi_stream") for each in ENDS])
    assert not [each for each in lines if each["event"] == "call failed"]


def test_a_stream_of_an_agents_snapshot_is_counted_when_it_ends(service: Service) -> None:
    watching = service.agent("bot").route.WatchAgent(pb.WatchAgentRequest())
    next(watching)
    eventually(lambda: figure(service, "imrs_watchers") == 1)
    assert handled(service, "WatchAgent", "OK", "server_stream") == 0
    watching.cancel()
    eventually(lambda: figure(service, "imrs_watchers") == 0)
    eventually(lambda: handled(service, "WatchAgent", "OK", "server_stream") == 1)
