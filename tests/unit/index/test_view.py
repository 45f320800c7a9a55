"""What a client is sent of an agent is what the server itself decides by."""

from __future__ import annotations

from dataclasses import fields, replace
from decimal import Decimal
from random import Random
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from imrs_server.domain.agent import Agent
from imrs_server.domain.model import PriceState
from imrs_server.domain.routing import Exploration, RoutingPolicy, Scoring
from imrs_server.index import view
from imrs_server.index.state import Made, State
from imrs_server.index.view import OTHERS, Columns
from imrs_server.storage.index import Key
from tests.support.columns import columns
from tests.support.evidence import rated
from tests.support.schema import HERE
from tests.support.state import model, state

if TYPE_CHECKING:
    from imrs_server.index.tables import AgentTables

POLICIES = {
    "pooled": RoutingPolicy(),
    "srs": RoutingPolicy(scoring=Scoring.SRS),
    "by chance": RoutingPolicy(exploration=Exploration.EPSILON, exploration_rate=0.3),
    "without exploration": RoutingPolicy(exploration=Exploration.OFF),
}


def world(random: Random, policy: RoutingPolicy) -> State:
    """Forty models, many alike but for their names or prices, of which some are rated or called."""
    models = [
        model(
            f"m{number}",
            priority=random.choice([40, 50]),
            price_state=random.choice([PriceState.PRICE_KNOWN, PriceState.PRICE_UNKNOWN]),
            input_price_usd=Decimal(random.randint(1, 3)),
            output_price_usd=Decimal(random.randint(1, 3)),
        )
        for number in random.sample(range(100), 40)
    ]

    def sums() -> dict[str, Any]:
        called = {"calls": 20.0, "errors": 3.0, "latency_n": 9.0, "latency_ms_sum": 700.0}
        more = called if random.random() < 0.5 else {}
        return rated(20, random.random() * 20, decisions=random.randint(0, 9), **more)

    def learned() -> dict[str, Any]:
        return {
            task: {each.model_id: sums() for each in random.sample(models, 15)} for task in ("code", "chat")
        }

    agent = Agent(agent_id="a", tenant_id=HERE, routing=policy)
    evidence = {Key(HERE, "a"): learned(), Key(HERE, ""): learned()}
    return state(*models, agent=agent, evidence=random.choice([evidence, {}, evidence]))


def tables_of(found: State) -> AgentTables:
    tables = found.agent(HERE, "a")
    assert tables is not None
    return tables


def assert_same(sent: Columns, own: Columns) -> None:
    for each in fields(Columns):
        assert np.array_equal(
            np.asarray(getattr(sent, each.name), np.float64),
            np.asarray(getattr(own, each.name), np.float64),
            equal_nan=True,
        ), each.name


@pytest.mark.parametrize("policy", POLICIES)
def test_columns_are_those_of_the_tables(policy: str) -> None:
    random = Random(policy)
    for _ in range(10):
        tables = tables_of(world(random, POLICIES[policy]))
        sent = view.ranked(tables)
        assert set(sent) == {OTHERS, *tables.sources.learned.tasks}
        for task_type in sent:
            own = tables.table("" if task_type == OTHERS else task_type).ranked
            assert_same(sent[task_type], columns(own))


def test_where_ranking_fails_both_go_by_priority() -> None:
    def fail(*_: Any) -> Any:
        raise ArithmeticError

    found = replace(world(Random(1), RoutingPolicy()), scorer=fail, made=Made())
    tables = tables_of(found)
    sent = view.ranked(tables)[OTHERS]
    assert sent.degraded
    assert_same(sent, columns(tables.table("").ranked))


def test_settings_are_those_of_the_tables() -> None:
    tables = tables_of(world(Random(2), POLICIES["by chance"]))
    settings, own = view.settings(tables), tables.table("").ranked
    assert (settings.policy, settings.default_model_id) == (own.policy, own.default_model_id)


def test_evidence_and_configuration_are_told_apart() -> None:
    first = world(Random(3), RoutingPolicy())
    again = replace(first, revision=8, made=Made())
    rated_more = replace(again, evidence={**first.evidence, Key(HERE, "a"): {}}, made=Made())
    changed = replace(again, agents=state(agent=Agent(agent_id="a", tenant_id=HERE)).agents, made=Made())
    found = [tables_of(each) for each in (first, again, rated_more, changed)]
    assert [view.configured_alike(found[0], each) for each in found] == [True, True, True, False]
    assert [view.learned_alike(found[0], each) for each in found] == [True, True, False, True]
