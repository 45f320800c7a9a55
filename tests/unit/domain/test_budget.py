"""Budgets: what a call may come to, what it came to, and how a refusal is told."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest

from imrs_server.domain.budget import (
    USUAL_OUTPUT_TOKENS,
    Budget,
    Estimate,
    Spend,
    estimate,
    exceeded,
    most_output_tokens,
    spend,
)
from imrs_server.domain.message import Message
from imrs_server.domain.model import CostTier, PriceState
from imrs_server.domain.pricing import UNPRICED, Price

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
KNOWN = Price(
    price_state=PriceState.PRICE_KNOWN,
    input_price_usd=Decimal(1),
    output_price_usd=Decimal(2),
    cached_input_price_usd=Decimal("0.1"),
)
BUDGET = Budget(
    tenant_id=UUID(int=1), budget_id="b", window=timedelta(days=1), reset_time=NOW + timedelta(hours=3)
)
CALL = Message(
    tenant_id=UUID(int=1),
    message_id=UUID(int=2),
    partition_time=NOW,
    agent_id="bot",
    model_id="p/m",
    task_type="code",
    prompt_tokens=10,
    completion_tokens=5,
    cost_usd=Decimal("0.5"),
    create_time=NOW,
)


@pytest.mark.parametrize(
    ("price", "tier", "usd"),
    [
        (KNOWN, CostTier.PREMIUM, Decimal("0.003")),
        (KNOWN, CostTier.FREE, Decimal("0.003")),
        (Price(price_state=PriceState.PRICE_FREE), CostTier.STANDARD, Decimal(0)),
        (UNPRICED, CostTier.FREE, Decimal(0)),
        (UNPRICED, CostTier.STANDARD, None),
        (UNPRICED, None, None),
    ],
)
def test_the_most_that_a_call_may_cost(price: Price, tier: CostTier | None, usd: Decimal | None) -> None:
    """Nothing is taken for cached, and an unknown price is nobody's 0 but that of a model that is free."""
    assert estimate(price, tier, 1000, 1000) == Estimate(usd=usd, tokens=2000)


@pytest.mark.parametrize(
    ("asked", "possible", "tokens"),
    [(None, None, USUAL_OUTPUT_TOKENS), (10, None, 10), (None, 20, 20), (10, 20, 10), (20, 10, 10)],
)
def test_the_longest_answer(asked: int | None, possible: int | None, tokens: int) -> None:
    assert most_output_tokens(asked, possible) == tokens


def test_what_a_call_came_to_and_what_telling_it_anew_changes() -> None:
    assert spend(CALL) == Spend(usd=Decimal("0.5"), tokens=15)
    unpriced = replace(CALL, cost_usd=None)
    assert spend(unpriced) == Spend(usd=Decimal(0), tokens=15, unpriced_calls=1)
    assert spend(CALL, unpriced) == Spend(usd=Decimal("0.5"), tokens=0, unpriced_calls=-1)
    assert spend(replace(CALL, completion_tokens=0), CALL).tokens == -5
    assert spend(CALL, CALL).is_nothing


def refusal(wanted: Estimate | None, **fields: Any) -> Any:
    return exceeded([replace(BUDGET, **fields)], NOW, wanted)


def test_a_refusal_names_the_limit_and_when_it_is_renewed() -> None:
    wanted = Estimate(usd=Decimal("0.30"), tokens=100)
    error = refusal(wanted, agent_id="bot", limit_usd=Decimal(10), spent_usd=Decimal("9.8"))
    assert error.message == (
        "Budget b of agent bot: 9.8 of 10 USD are spent, and the call may cost 0.3;"
        " it is renewed at 2026-11-21T15:00:00Z."
    )
    assert error.retry_after_seconds == 3 * 3600
    assert {name: error.metadata[name] for name in ("limit_usd", "spent_usd", "reserved_usd")} == {
        "limit_usd": "10",
        "spent_usd": "9.8",
        "reserved_usd": "0",
    }


def test_where_only_calls_that_run_stand_in_the_way_waiting_a_moment_helps() -> None:
    wanted = Estimate(usd=Decimal(3), tokens=100)
    for fields in (
        {"limit_usd": Decimal(10), "spent_usd": Decimal(5), "reserved_usd": Decimal(4)},
        {"limit_tokens": 1000, "spent_tokens": 500, "reserved_tokens": 450},
    ):
        error = refusal(wanted, **fields)
        assert error.retry_after_seconds == 1
        assert "calls that run hold the rest" in error.message


def test_an_unknown_price_and_nothing_left() -> None:
    error = refusal(Estimate(usd=None, tokens=1), limit_usd=Decimal(10))
    assert "of the tenant: 0 of 10 USD are spent, and the price of the model is not known;" in error.message
    error = refusal(None, limit_usd=Decimal(10), spent_usd=Decimal(10))
    assert "of the tenant: 10 of 10 USD are spent;" in error.message
    error = refusal(None, limit_tokens=5, spent_tokens=7, limit_usd=Decimal(10))
    assert "of the tenant: 7 of 5 tokens are spent;" in error.message
    assert error.metadata["limit_tokens"] == "5"


def test_of_several_budgets_the_last_to_be_renewed_is_told() -> None:
    short = replace(BUDGET, limit_tokens=0)
    long = replace(short, budget_id="a", reset_time=NOW + timedelta(days=3))
    assert exceeded([short, long, short], NOW).metadata["budget_id"] == "a"
