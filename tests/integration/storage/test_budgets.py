"""The account of a budget: what is set aside, given back and spent adds up, whatever comes in which order."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import count
from typing import TYPE_CHECKING, Any
from uuid import UUID

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from imrs_client.ids import new_id
from imrs_server.domain.budget import Budget, Estimate, Level, Spend, Wanted
from imrs_server.jobs.budgets import BudgetWindows
from imrs_server.storage import budgets
from imrs_server.storage.changes import Kind
from tests.support import patience
from tests.support.schema import HERE

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from imrs_server.storage.database import Database

pytestmark = pytest.mark.both_postgres

HOUR = timedelta(hours=1)
_tenants = count(1)


@pytest.fixture
def db(database: str) -> Iterator[Database]:
    with patience.database(database, app_connections=10) as opened:
        yield opened


def put(db: Database, tenant_id: UUID = HERE, agent_id: str = "", **wanted: Any) -> Budget:
    with db.transaction(tenant_id) as tx:
        fields = {"window": HOUR, **wanted}
        return budgets.put(tx, tenant_id, agent_id or "tenant", Wanted(agent_id=agent_id, **fields))


def reserve(
    db: Database,
    usd: str | None,
    tokens: int = 0,
    *,
    tenant_id: UUID = HERE,
    seconds: float = 60,
    ended: Mapping[UUID, Spend] | None = None,
) -> UUID | None:
    """The reservation of agent `a`; None where it was refused."""
    reservation_id = new_id()
    wanted = Estimate(usd=None if usd is None else Decimal(usd), tokens=tokens)
    with db.transaction(tenant_id) as tx:
        found = budgets.reserve(
            tx, tenant_id, "a", reservation_id, wanted, seconds=seconds, ended=ended or {}
        )
    return None if any(each.refuses for each in found) else reservation_id


def charge(
    db: Database,
    usd: str = "0",
    tokens: int = 0,
    *,
    tenant_id: UUID = HERE,
    reservation_id: UUID | None = None,
    ago: timedelta | None = None,
) -> list[budgets.Moved]:
    with db.transaction(tenant_id) as tx:
        return budgets.charge(
            tx,
            tenant_id,
            "a",
            Spend(usd=Decimal(usd), tokens=tokens),
            reservation_id=reservation_id,
            create_time=None if ago is None else datetime.now(UTC) - ago,
        )


def all_of(db: Database, tenant_id: UUID = HERE) -> dict[str, Budget]:
    with db.transaction(tenant_id) as tx:
        return {each.agent_id: each for each in budgets.of(tx, tenant_id, "a")}


def run(db: Database, statement: str, **parameters: Any) -> list[dict[str, Any]]:
    with db.system() as tx:
        cursor = tx.execute(statement.encode(), parameters)
        return cursor.fetchall() if cursor.description else []


def end_windows(db: Database, tenant_id: UUID = HERE, by: timedelta = timedelta(0)) -> None:
    run(db, "update budgets set reset_time = now() - %(by)s where tenant_id = %(id)s", by=by, id=tenant_id)


def test_what_is_set_aside_must_fit_into_every_budget(db: Database) -> None:
    put(db, limit_usd=Decimal(10))
    put(db, agent_id="a", limit_tokens=100)
    assert reserve(db, "6", 60) is not None
    assert reserve(db, "6", 1) is None
    assert reserve(db, "1", 41) is None
    assert reserve(db, "4", 40) is not None
    found = all_of(db)
    assert {(each.reserved_usd, each.reserved_tokens) for each in found.values()} == {(Decimal(10), 100)}


def test_what_costs_nothing_is_never_refused_for_money(db: Database) -> None:
    put(db, limit_usd=Decimal(0))
    assert reserve(db, "0", 10**6) is not None
    assert reserve(db, "0.000000001") is None
    assert reserve(db, None) is None
    put(db, limit_usd=None)
    assert reserve(db, None) is not None


def test_a_charge_takes_the_place_of_what_was_set_aside_and_a_second_one_does_not(db: Database) -> None:
    put(db, limit_usd=Decimal(10))
    held = reserve(db, "6")
    charge(db, "2", 5, reservation_id=held)
    charge(db, "1", 5, reservation_id=held)
    (found,) = all_of(db).values()
    assert (found.spent_usd, found.spent_tokens, found.reserved_usd) == (Decimal(3), 10, Decimal(0))


def test_of_a_call_that_ended_what_it_came_to_stays_set_aside_until_it_is_charged(db: Database) -> None:
    """Whether or not the next call fits, and as often as that is asked."""
    put(db, limit_usd=Decimal(10), limit_tokens=100)
    first = reserve(db, "6", 60)
    assert first is not None
    came_to = {first: Spend(usd=Decimal(2), tokens=20)}
    for usd, held in (("9", Decimal(2)), ("8", Decimal(10)), ("1", Decimal(10))):
        with db.transaction(HERE) as tx:
            wanted = Estimate(usd=Decimal(usd), tokens=1)
            budgets.reserve(tx, HERE, "a", new_id(), wanted, seconds=60, ended=came_to)
        assert all_of(db)[""].reserved_usd == held
    assert reserve(db, "0.000000001") is None
    charge(db, "2", 20, reservation_id=first)
    found = all_of(db)[""]
    assert (found.spent_usd, found.spent_tokens) == (Decimal(2), 20)
    assert (found.reserved_usd, found.reserved_tokens) == (Decimal(8), 1)


def test_a_call_that_ended_may_have_come_to_more_than_was_set_aside(db: Database) -> None:
    put(db, limit_usd=Decimal(10))
    first = reserve(db, "1")
    assert first is not None
    with db.transaction(HERE) as tx:
        wanted = Estimate(usd=Decimal(1), tokens=0)
        more = {first: Spend(usd=Decimal(12), tokens=0), new_id(): Spend(usd=Decimal(5), tokens=0)}
        (judged,) = budgets.reserve(tx, HERE, "a", new_id(), wanted, seconds=60, ended=more)
    assert judged.refuses
    assert all_of(db)[""].reserved_usd == Decimal(12)


def test_windows_follow_each_other_without_a_gap_however_long_nobody_called(db: Database) -> None:
    begin = put(db, limit_usd=Decimal(1)).reset_time
    charge(db, "1")
    end_windows(db, by=2.5 * HOUR)
    ended = all_of(db)[""].reset_time
    assert reserve(db, "1") is not None
    (found,) = all_of(db).values()
    assert (found.spent_usd, found.level, found.reset_time) == (Decimal(0), Level.WITHIN, ended + 3 * HOUR)
    assert begin - found.reset_time < HOUR


def test_what_was_called_before_the_window_is_not_its_affair(db: Database) -> None:
    put(db, limit_usd=Decimal(1))
    assert charge(db, "5", ago=timedelta(minutes=1)) == []
    charge(db, "0.5")
    end_windows(db)
    assert charge(db, "5", ago=timedelta(seconds=30)) == []
    charge(db, "0.25")
    assert all_of(db)[""].spent_usd == Decimal("0.25")


def test_what_a_server_that_died_held_comes_back(db: Database) -> None:
    """With the next call, or without one."""
    put(db, limit_usd=Decimal(1))
    reserve(db, "1", seconds=60)
    assert reserve(db, "1") is None
    run(db, "update budget_reservations set expire_time = now()")
    assert reserve(db, "1", seconds=0) is not None
    assert BudgetWindows(db).turn() == 1
    assert all_of(db)[""].reserved_usd == 0
    assert run(db, "select * from budget_reservations") == []
    assert BudgetWindows(db).turn() == 0


def test_each_change_of_level_is_announced_once(db: Database) -> None:
    put(db, limit_usd=Decimal(10), limit_tokens=1000)
    levels = [budgets.news(charge(db, "2", 100)) != [] for _ in range(6)]
    assert levels == [False, False, False, True, True, False]
    assert all_of(db)[""].level is Level.SPENT
    assert budgets.news(charge(db, "0", 400)) != []
    assert all_of(db)[""].level is Level.EXHAUSTED
    end_windows(db)
    before = [row["rev"] for row in run(db, "select rev from index_revision")]
    job = BudgetWindows(db)
    assert (job.turn(), job.turn()) == (1, 0)
    [line] = run(db, "select kind, key, tenant_id from change_log where rev > %(rev)s", rev=before[0])
    assert line == {"kind": Kind.BUDGET, "key": "", "tenant_id": HERE}


def test_setting_it_again_keeps_what_is_spent_unless_the_window_is_another(db: Database) -> None:
    first = put(db, limit_usd=Decimal(1))
    charge(db, "1", 7)
    again = put(db, limit_usd=Decimal(2))
    assert again == replace(
        first, limit_usd=Decimal(2), spent_usd=Decimal(1), spent_tokens=7, version=first.version + 1
    )
    other = put(db, limit_usd=Decimal(2), window=2 * HOUR)
    assert (other.spent_usd, other.spent_tokens, other.level) == (Decimal(0), 0, Level.WITHIN)
    assert other.reset_time - first.reset_time > HOUR / 2
    end_windows(db)
    charge(db, "1")
    end_windows(db)
    assert put(db, limit_usd=Decimal(3), window=2 * HOUR).spent_usd == 0


def test_a_budget_that_is_deleted_while_calls_run_is_gone(db: Database) -> None:
    put(db, limit_usd=Decimal(1))
    kept = put(db, agent_id="a", limit_usd=Decimal(2))
    held = reserve(db, "1")
    with db.transaction(HERE) as tx:
        budgets.delete(tx, HERE, "tenant")
    assert len(run(db, "select * from budget_reservations")) == 1
    charge(db, "0.5", reservation_id=held)
    assert all_of(db) == {"a": replace(kept, spent_usd=Decimal("0.5"))}
    assert run(db, "select * from budget_reservations") == []


def test_amounts_stay_within_their_columns(db: Database) -> None:
    """What was called has been spent, and its message is stored whatever the account says."""
    put(db, limit_usd=Decimal(1))
    charge(db, "999999999")
    charge(db, "999999999")
    assert all_of(db)[""].spent_usd == Decimal(999_999_999)
    charge(db, "-999999999")
    charge(db, "-1", -5)
    assert (all_of(db)[""].spent_usd, all_of(db)[""].spent_tokens) == (Decimal(0), 0)


def test_callers_who_meet_never_set_aside_more_than_there_is(db: Database) -> None:
    put(db, limit_usd=Decimal(10))
    put(db, agent_id="a", limit_usd=Decimal(7))

    def call(_: int) -> UUID | None:
        held = reserve(db, "0.5")
        if held is not None:
            charge(db, "0.25", reservation_id=held)
        return held

    with ThreadPoolExecutor(8) as pool:
        made = sum(each is not None for each in pool.map(call, range(100)))
    found = all_of(db)
    assert found["a"].spent_usd == found[""].spent_usd == made * Decimal("0.25") <= 7
    assert made > 7 / 0.5
    assert found["a"].reserved_usd == found[""].reserved_usd == 0


@dataclass
class Account:
    """What a budget must say, told plainly."""

    limit_usd: Decimal | None
    limit_tokens: int | None
    usd: Decimal = Decimal(0)
    tokens: int = 0
    ended: bool = False
    held: dict[UUID, tuple[Decimal, int]] = field(default_factory=dict)
    expired: set[UUID] = field(default_factory=set)

    def touch(self) -> None:
        if self.ended:
            self.usd, self.tokens, self.ended = Decimal(0), 0, False

    def sweep(self) -> None:
        for each in self.expired:
            self.held.pop(each, None)
        self.expired.clear()

    @property
    def reserved(self) -> tuple[Decimal, int]:
        return sum((usd for usd, _ in self.held.values()), Decimal(0)), sum(n for _, n in self.held.values())

    def takes(self, usd: Decimal | None, tokens: int) -> bool:
        reserved_usd, reserved_tokens = self.reserved
        if self.limit_tokens is not None and self.tokens + reserved_tokens + tokens > self.limit_tokens:
            return False
        if self.limit_usd is None or usd == 0:
            return True
        return usd is not None and self.usd + reserved_usd + usd <= self.limit_usd


USD = st.integers(0, 40).map(lambda n: Decimal(n) / 8)
TOKENS = st.integers(0, 50)
LIMITS = st.tuples(st.none() | USD, st.none() | TOKENS)
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("reserve"), st.none() | USD, TOKENS, st.none()),
        st.tuples(st.just("reserve"), st.none() | USD, TOKENS, st.tuples(USD, TOKENS)),
        st.tuples(st.just("charge"), USD, TOKENS),
        st.tuples(st.just("expire")),
        st.tuples(st.just("end")),
        st.tuples(st.just("turn")),
    ),
    max_size=12,
)


@settings(max_examples=60, suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture])
@given(limits=st.tuples(LIMITS, LIMITS), steps=STEPS, pick=st.randoms(use_true_random=False))
def test_any_course_of_calls_adds_up(db: Database, limits: Any, steps: Any, pick: Any) -> None:
    tenant_id = UUID(int=next(_tenants))
    accounts = []
    for agent_id, (usd, tokens) in zip(("", "a"), limits, strict=True):
        put(db, tenant_id, agent_id, limit_usd=usd, limit_tokens=tokens)
        accounts.append(Account(usd, tokens))
    known: list[UUID] = []
    for name, *given_values in steps:
        if name == "reserve":
            usd, tokens, came_to = given_values
            ended = {pick.choice(known): came_to} if known and came_to else {}
            for each in accounts:
                each.touch()
                each.sweep()
                each.held |= {held: amounts for held, amounts in ended.items() if held in each.held}
            fits = all(each.takes(usd, tokens) for each in accounts)
            told = None if usd is None else str(usd)
            spent = {held: Spend(usd=usd, tokens=tokens) for held, (usd, tokens) in ended.items()}
            made = reserve(db, told, tokens, tenant_id=tenant_id, ended=spent)
            assert (made is not None) == fits
            if made is not None:
                known.append(made)
                for each in accounts:
                    each.held[made] = (usd or Decimal(0), tokens)
        elif name == "charge":
            usd, tokens = given_values
            held = pick.choice(known) if known and pick.random() < 0.8 else None
            charge(db, str(usd), tokens, tenant_id=tenant_id, reservation_id=held)
            for each in accounts:
                each.touch()
                each.usd, each.tokens = each.usd + usd, each.tokens + tokens
                if held is not None:
                    each.held.pop(held, None)
                    each.expired.discard(held)
        elif name == "expire":
            run(db, "update budget_reservations set expire_time = now() where tenant_id = %(i)s", i=tenant_id)
            for each in accounts:
                each.expired |= set(each.held)
        elif name == "end":
            end_windows(db, tenant_id)
            for each in accounts:
                each.ended = True
        else:
            BudgetWindows(db).turn()
            found = all_of(db, tenant_id)
            for agent_id, each in zip(("", "a"), accounts, strict=True):
                # It renews what Route waits for, and what holds something that has expired.
                if each.expired or found[agent_id].reset_time > datetime.now(UTC):
                    each.touch()
                each.sweep()
        compare(db, tenant_id, accounts)


def compare(db: Database, tenant_id: UUID, accounts: list[Account]) -> None:
    found = all_of(db, tenant_id)
    for agent_id, each in zip(("", "a"), accounts, strict=True):
        budget = found[agent_id]
        assert (budget.reserved_usd, budget.reserved_tokens) == each.reserved
        assert (budget.spent_usd, budget.spent_tokens) == (each.usd, each.tokens)
        query = "select coalesce(sum(usd), 0) as usd from budget_reservations where budget_id = %(id)s"
        [row] = run(db, query + " and tenant_id = %(t)s", id=budget.budget_id, t=tenant_id)
        assert row["usd"] == budget.reserved_usd
        assert budget.level is level(each)


def level(each: Account) -> Level:
    if each.limit_tokens is not None and each.tokens >= each.limit_tokens:
        return Level.EXHAUSTED
    if each.limit_usd is None or each.usd < each.limit_usd * Decimal("0.8"):
        return Level.WITHIN
    return Level.SPENT if each.usd >= each.limit_usd else Level.SPARING
