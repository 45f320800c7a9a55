"""Calls without a budget cost no statement, and with one no more than they must."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest

from imrs_server.domain import scoring
from imrs_server.domain.chat import TokenUsage
from imrs_server.domain.decision import SelectedModel
from imrs_server.domain.errors import BudgetExceeded, DatabaseUnavailable
from imrs_server.domain.message import Report
from imrs_server.index import loader
from imrs_server.index.warm import Index
from imrs_server.storage.database import Database
from imrs_server.use_cases.messages import Messages
from imrs_server.use_cases.spending import EndedCall, Spending
from tests.support.principals import ADMIN
from tests.support.schema import HERE

if TYPE_CHECKING:
    from tests.integration.feedback.conftest import World

MODEL = SelectedModel(model_id="p/m")
CALL: dict[str, Any] = {"prompt_tokens": 1000, "output_tokens": 1000, "seconds": 60}


def index_of(world: World) -> Index:
    found = Index()
    with world.database.system() as tx:
        found.confirm(loader.whole(tx, scoring.score))
    return found


def test_without_a_budget_the_database_is_not_asked(world: World) -> None:
    nowhere = Database("postgresql://nobody@127.0.0.1:9/none")
    spending = Spending(nowhere, index_of(world))
    assert spending.reserve(HERE, "a", MODEL, **CALL) is None
    world.insert("budgets", agent_id="b", limit_usd=1)
    spending = Spending(nowhere, index_of(world))
    assert spending.reserve(HERE, "a", MODEL, **CALL) is None
    nowhere.open()
    try:
        with pytest.raises(DatabaseUnavailable):
            spending.reserve(HERE, "b", MODEL, **CALL)
        with pytest.raises(DatabaseUnavailable):
            Spending(nowhere, Index()).reserve(HERE, "a", MODEL, **CALL)
    finally:
        nowhere.close()


def test_the_price_is_that_of_now_and_of_the_agent(world: World) -> None:
    """2 and 10 USD per 1M tokens in the catalogue, half of that for one agent."""
    world.insert("budgets", limit_usd=Decimal("0.012"), budget_id="all", budget_window="1 hour")
    prices = {"input_price_usd": 1, "output_price_usd": 5}
    world.insert("agent_models", agent_id="b", **prices)
    spending = Spending(world.database, index_of(world))
    held = spending.reserve(HERE, "a", MODEL, **CALL)
    assert held is not None
    with pytest.raises(BudgetExceeded) as caught:
        spending.reserve(HERE, "b", MODEL, **CALL)
    assert "the call may cost 0.006; calls that run hold the rest" in caught.value.message
    spending.give_back(HERE, "a", held)
    assert spending.reserve(HERE, "b", MODEL, **CALL) is not None
    [row] = world.query("select reserved_usd from budgets")
    assert row["reserved_usd"] == Decimal("0.006")


def test_between_two_attempts_nobody_spends_what_the_first_has_spent(world: World) -> None:
    """It came to 0.010 USD of 0.012, and its message is stored only after the next one has its share."""
    world.insert("budgets", limit_usd=Decimal("0.012"), budget_id="all", budget_window="1 hour")
    spending = Spending(world.database, index_of(world))
    held = spending.reserve(HERE, "a", MODEL, **CALL)
    assert held is not None
    ended = EndedCall(held, "p/m", TokenUsage(prompt_tokens=0, completion_tokens=1000))
    tiny: dict[str, Any] = {"prompt_tokens": 1000, "output_tokens": 0, "seconds": 60}
    assert spending.reserve(HERE, "a", MODEL, **tiny, ended=[ended]) is not None
    with pytest.raises(BudgetExceeded):
        spending.reserve(HERE, "a", MODEL, **tiny)


def test_a_change_of_level_is_announced_in_the_transaction_of_the_call(world: World) -> None:
    world.insert("budgets", limit_tokens=10)
    [before] = world.query("select rev from index_revision")
    spending = Spending(world.database, index_of(world))
    messages = Messages(
        world.database, flush_decisions=world.flush, wake_rollup=world.wake, spending=spending
    )
    for _ in range(3):
        messages.record(ADMIN, HERE, Report(agent_id="a", model_id="p/m", prompt_tokens=5))
    [after] = world.query("select rev from index_revision")
    assert after["rev"] == before["rev"] + 1
    state = index_of(world).current
    assert state is not None
    [short] = state.limits.budgets.values()
    assert "the budget of the tenant, 10 tokens until" in short.detail
    assert not short.keeps_free


def test_servers_whose_clock_is_behind_count_what_was_called_just_now(world: World) -> None:
    """What the budget's window began before; not what was called a day ago."""
    world.insert("budgets", limit_tokens=1000, reset_time=datetime.now(UTC) + timedelta(days=30, seconds=20))
    spending = Spending(world.database, index_of(world))
    messages = Messages(
        world.database, flush_decisions=world.flush, wake_rollup=world.wake, spending=spending
    )
    for age in (timedelta(seconds=5), timedelta(days=1)):
        report = Report(agent_id="a", model_id="p/m", prompt_tokens=5, create_time=datetime.now(UTC) - age)
        messages.record(ADMIN, HERE, report)
    [row] = world.query("select spent_tokens from budgets")
    assert row["spent_tokens"] == 5
