"""From an agent and its models to the table that decisions read."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest

from imrs_client.ranked import RemovedBy
from imrs_server.domain import ranking
from imrs_server.domain.agent import Agent, AgentModel
from imrs_server.domain.model import CostTier, Lifecycle, PriceState
from imrs_server.domain.offer import Offer
from imrs_server.domain.provider import DataPolicy, State
from imrs_server.domain.ranking import Subject
from imrs_server.domain.routing import CostPreference, RoutingPolicy, Scoring
from tests.support.evidence import knowledge, number, rated
from tests.support.schema import HERE
from tests.support.state import PROVIDER, model

if TYPE_CHECKING:
    from imrs_client.ranked import Candidate, RankedTable
    from imrs_server.domain.model import Model

UNSET_POLICY = RoutingPolicy()
AGENT = Agent(agent_id="a", tenant_id=HERE)
OFF = {"state": State.DISABLED}
KNOWN = {"price_state": PriceState.PRICE_KNOWN}


def offer(found: Model, **own: Any) -> Offer:
    settings = AgentModel(agent_id="a", model_id=found.model_id, **own)
    return Offer(settings, found, PROVIDER, number=number(found.model_id))


def built(
    *offers: Offer,
    agent: Agent = AGENT,
    policy: RoutingPolicy = UNSET_POLICY,
    degraded: bool = False,
    **known: Any,
) -> RankedTable:
    overrides = [each.agent_model.priority_override for each in offers]
    priorities = [
        each.model.priority if own is None else own for each, own in zip(offers, overrides, strict=True)
    ]
    models = ranking.lineup(agent, offers, priorities)
    if degraded:
        found = ranking.standing_by_priority(models, knowledge(**known))
    else:
        found = ranking.standing(policy, models, knowledge(**known))
    return ranking.table(Subject(agent=agent, policy=policy), ranking.candidates(models, found))


def only(each: Offer, agent: Agent = AGENT, **known: Any) -> Candidate:
    (found,) = built(each, agent=agent, **known).candidates
    return found


def test_best_first_then_cheapest_then_by_id() -> None:
    offers = (
        offer(model("b", **KNOWN, input_price_usd=Decimal(1), output_price_usd=Decimal(2))),
        offer(model("unpriced")),
        offer(model("a", **KNOWN, input_price_usd=Decimal(1), output_price_usd=Decimal(2))),
        offer(model("cheap", **KNOWN, input_price_usd=Decimal("0.1"), output_price_usd=Decimal("0.2"))),
        offer(model("best", priority=51)),
    )
    found = built(*offers)
    assert [each.external_id for each in found.candidates] == ["best", "cheap", "a", "b", "unpriced"]


@pytest.mark.parametrize(
    ("agent", "provider", "changes", "own", "removal"),
    [
        (OFF, {}, {}, {}, (RemovedBy.DISABLED, "the agent is disabled")),
        (
            {},
            {"state": State.DISABLED},
            {},
            {"enabled": False},
            (RemovedBy.DISABLED, "not enabled for the agent"),
        ),
        (
            {},
            {"state": State.DISABLED},
            {"available": False},
            {},
            (RemovedBy.PROVIDER, "provider p is disabled"),
        ),
        ({}, {"state": State.DELETED}, {}, {}, (RemovedBy.PROVIDER, "provider p is deleted")),
        ({}, {}, {"available": False}, {}, (RemovedBy.UNAVAILABLE, "not available")),
        ({}, {}, {"delete_time": datetime.now(UTC)}, {}, (RemovedBy.UNAVAILABLE, "deleted")),
        ({}, {}, {"lifecycle": Lifecycle.RETIRED}, {}, (RemovedBy.UNAVAILABLE, "retired")),
        ({}, {}, {"lifecycle": Lifecycle.MISSING}, {}, None),
    ],
)
def test_what_keeps_every_request_from_a_model(
    agent: Any, provider: Any, changes: Any, own: Any, removal: Any
) -> None:
    one = replace(offer(model("m", **changes), **own), provider=replace(PROVIDER, **provider))
    assert only(one, replace(AGENT, **agent)).state_removal == removal


@pytest.mark.parametrize(
    ("state", "prices", "own", "expected"),
    [
        (PriceState.PRICE_KNOWN, ("1", "5"), (None, None), 2.0),
        (PriceState.PRICE_KNOWN, ("1", "5"), ("3", None), 3.5),
        (PriceState.PRICE_KNOWN, ("1", None), (None, None), None),
        (PriceState.PRICE_FREE, ("0", "0"), (None, None), 0.0),
        (PriceState.PRICE_FREE, (None, None), (None, None), 0.0),
        (PriceState.PRICE_VARIABLE, ("1", "5"), (None, None), None),
        (PriceState.PRICE_UNKNOWN, (None, None), ("1", "5"), 2.0),
        (PriceState.PRICE_UNKNOWN, (None, None), ("1", None), None),
    ],
)
def test_only_prices_that_can_be_trusted_are_compared(
    state: PriceState,
    prices: tuple[str | None, str | None],
    own: tuple[str | None, str | None],
    expected: float | None,
) -> None:
    names = ("input_price_usd", "output_price_usd")

    def amounts(texts: tuple[str | None, str | None]) -> dict[str, Any]:
        return {name: text and Decimal(text) for name, text in zip(names, texts, strict=True)}

    one = offer(model("m", price_state=state, **amounts(prices)), **amounts(own))
    assert only(one).cost_usd == expected


def test_the_agents_own_settings_go_over_the_catalogues() -> None:
    found = only(
        offer(
            model("m", priority=10, context_length=1000, cost_tier=CostTier.LOW),
            priority_override=90,
            context_length=2000,
            allowed_roles=("admin",),
            fallback_model_ids=(),
        )
    )
    assert (found.priority, found.context_length, found.cost_tier) == (90, 2000, "LOW")
    assert (found.allowed_roles, found.fallback_model_ids) == (frozenset({"admin"}), ())
    assert found.score == pytest.approx(0.9)


def test_what_is_known_of_the_provider_and_of_calls_comes_along() -> None:
    cells = {"p/m": {"calls": 20, "errors": 5, "latency_n": 4, "latency_ms_sum": 2000}}
    private = DataPolicy(regions=("eu",), trains_on_data=False)
    one = replace(offer(model("m")), provider=replace(PROVIDER, data_policy=private, key_version=None))
    found = only(one, task=cells)
    assert (found.latency_ms, found.error_rate) == (500, 0.25)
    assert (found.regions, found.trains_on_data, found.retains_data) == (frozenset({"eu"}), False, None)
    assert not found.credentials_ok
    few = only(one, task={"p/m": {"calls": 9, "errors": 9}})
    assert (few.latency_ms, few.error_rate) == (None, None)


def test_the_policy_that_decides_beyond_scores() -> None:
    policy = RoutingPolicy(
        scoring=Scoring.SRS,
        cost_preference=CostPreference.NONE,
        similarity_margin=0.1,
        max_cost_tier=CostTier.LOW,
        require_credentials=True,
    )
    found = built(policy=policy).policy
    assert (found.cheaper_when_similar, found.similarity_margin) == (False, 0.1)
    assert (found.max_cost_tier, found.require_credentials) == ("LOW", True)


def test_a_degraded_table_is_in_order_of_priority() -> None:
    offers = tuple(offer(model(name, priority=each)) for name, each in zip("abc", (10, 90, 50), strict=True))
    cells = {"p/a": rated(9, 9)}
    found = built(*offers, degraded=True, task=cells)
    assert [each.external_id for each in found.candidates] == ["b", "c", "a"]
    assert found.degraded
