"""A policy on trial: decided beside the one that serves, logged, compared, never served."""

from __future__ import annotations

from typing import TYPE_CHECKING

from imrs_client import Replica
from imrs_client import v1 as pb
from tests.support.waiting import eventually

if TYPE_CHECKING:
    from tests.support.service import Service

RATINGS_COUNT = pb.RoutingPolicy(
    scoring=pb.RoutingPolicy.Scoring.SRS,
    exploration=pb.RoutingPolicy.Exploration.OFF,
    cost_preference=pb.RoutingPolicy.CostPreference.NONE,
    shadow=pb.RoutingPolicy(priority_weight=1, experience_weight=0),
)


def test_a_shadow_is_compared_with_what_serves(service: Service) -> None:
    """Ratings have changed what serves, and not what the shadow would choose, which hears of none."""
    platform, tenant, bot = service.platform, service.tenant, service.agent("bot")
    provider = pb.Provider(
        provider_id="p", provider_type=pb.Provider.Type.OLLAMA, api_base="http://127.0.0.1:9"
    )
    platform.admin.CreateProvider(pb.CreateProviderRequest(provider=provider))
    for name, priority in (("first", 60), ("second", 40)):
        model = pb.Model(provider_id="p", external_id=name, priority=priority)
        platform.catalog.CreateModel(pb.CreateModelRequest(model=model))
    agent = pb.Agent(agent_id="bot", routing=RATINGS_COUNT)
    tenant.admin.CreateAgent(pb.CreateAgentRequest(agent=agent))
    ids = ["p/first", "p/second"]
    tenant.admin.EnableAgentModels(pb.EnableAgentModelsRequest(agent_id="bot", model_ids=ids))
    service.settled(tenant)
    for model_id, rating in zip(ids, (0.0, 1.0), strict=True):
        called = tenant.record(agent_id="bot", model_id=model_id, task_type="code")
        tenant.rate(called.message_id, rating)
    explain = pb.RouteRequest(task_type="code")
    eventually(lambda: bot.route.ExplainRoute(explain).selected.model_id == "p/second")

    for _ in range(3):
        assert bot.choose(task_type="code").selected.model_id == "p/second"
    agreed = [bot.choose(task_type="math") for _ in range(2)]
    assert {each.selected.model_id for each in agreed} == {"p/first"}
    bot.rate(agreed[0].decision_id, 0.5)

    def shadows(task_type: str = "") -> dict[str, tuple[int, int, int, float]]:
        found = tenant.feedback.ListPerformance(pb.ListPerformanceRequest(task_type=task_type)).performance
        return {
            each.model_id: (
                each.shadow_count,
                each.shadow_agreed_count,
                each.shadow_rating_count,
                each.shadow_avg_rating,
            )
            for each in found
        }

    eventually(lambda: shadows() == {"p/first": (5, 2, 1, 0.5), "p/second": (0, 0, 0, 0.0)})
    assert shadows(task_type="code") == {"p/first": (3, 0, 0, 0.0), "p/second": (0, 0, 0, 0.0)}

    with Replica(bot) as replica:
        replica.wait_until_ready(20)
        assert {replica.route(task_type="code").selected.model_id for _ in range(4)} == {"p/second"}
        assert replica.flush(20) == 0
    assert shadows(task_type="code")["p/first"] == (7, 0, 0, 0.0)
