"""Two worker processes: what one finds out about a model the other goes by, and time moves it on for both."""

from __future__ import annotations

from typing import TYPE_CHECKING

from imrs_client import v1 as pb
from tests.support import patience
from tests.support.chatting import refuses, whole
from tests.support.provider import FakeProvider
from tests.support.waiting import eventually
from tests.support.workers import TENANT, by_worker, connect, serving

if TYPE_CHECKING:
    from pathlib import Path

    from imrs_client import ImrsClient
    from tests.conftest import Vault

State = pb.CooldownStatus.State


def cooldowns(client: ImrsClient) -> list[tuple[str, int, float]]:
    found = client.admin.GetStatus(pb.GetStatusRequest()).cooldowns
    return [(each.model_id, each.state, each.share) for each in found]


def test_what_a_worker_finds_out_the_other_goes_by(database: str, vault: Vault, tmp_path: Path) -> None:
    with (
        serving(database, vault, tmp_path) as serve,
        by_worker(serve) as workers,
        connect(serve, TENANT) as tenant,
        FakeProvider(b"") as upstream,
    ):
        upstream.page("/v1/chat/completions", whole("Yes"))
        one, other = workers.values()
        provider = pb.Provider(
            provider_id="p",
            provider_type=pb.Provider.Type.CUSTOM,
            dialect="vllm",
            api_base=f"{upstream.url}/v1",
        )
        one.admin.CreateProvider(pb.CreateProviderRequest(provider=provider))
        for external_id, priority in (("best", 90), ("next", 10)):
            model = pb.Model(provider_id="p", external_id=external_id, priority=priority)
            one.catalog.CreateModel(pb.CreateModelRequest(model=model))
        routing = pb.RoutingPolicy(exploration=pb.RoutingPolicy.Exploration.OFF)
        agent = tenant.admin.CreateAgent(
            pb.CreateAgentRequest(agent=pb.Agent(agent_id="bot", routing=routing))
        )
        tenant.admin.EnableAgentModels(pb.EnableAgentModelsRequest(agent_id="bot", filter=pb.ModelFilter()))
        route = pb.RouteRequest(agent_id="bot", tenant_id=agent.tenant_id, min_revision=tenant.last_revision)

        def selected(client: ImrsClient) -> str:
            return client.route.Route(route).selected.model_id

        assert [selected(each) for each in (one, other)] == ["p/best"] * 2
        upstream.script(refuses(429, retry_after="15"))
        done = one.complete("Hello", agent_id="bot", tenant_id=agent.tenant_id)
        assert done.model_id == "p/next"
        eventually(lambda: [selected(each) for each in (one, other)] == ["p/next"] * 2)
        assert cooldowns(other) == [("p/best", State.COOLING, 0)]

        def returning(client: ImrsClient) -> bool:
            return [(name, state, 0 < share < 1) for name, state, share in cooldowns(client)] == [
                ("p/best", State.RETURNING, True)
            ]

        # In any of its steps, each of which lasts for five seconds.
        eventually(lambda: all(map(returning, (one, other))), seconds=patience.SECONDS + 15)
