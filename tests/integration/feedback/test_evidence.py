"""Evidence follows the rows: whatever is written, changed or taken back, in whatever order of commits."""

from __future__ import annotations

import random
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import psycopg
import pytest
from psycopg.types.json import Jsonb

from imrs_client.ids import new_id
from imrs_server.domain.evidence import MAX_TASK_TYPES, OTHER_TASKS
from imrs_server.domain.feedback import Signal
from imrs_server.domain.routing import DEFAULT_POLICY
from imrs_server.jobs.counting import Drift
from imrs_server.storage import evidence
from tests.support import facts
from tests.support.principals import ADMIN
from tests.support.schema import ELSEWHERE, HERE, NOW, insert
from tests.support.transactions import await_earlier
from tests.support.waiting import eventually

if TYPE_CHECKING:
    from uuid import UUID

    from tests.integration.feedback.conftest import World

OWN, POOLED = ("a", "code", "p/m"), ("", "code", "p/m")
HALF_LIFE = DEFAULT_POLICY.half_life or timedelta()
DECAYED = pytest.approx(1.0, abs=1e-3)  # of 45 days' half-life, by the minutes that a run may take


def voted(world: World, age: timedelta = timedelta(), **columns: Any) -> UUID:
    """A vote on a message of its own, whose time is that long ago."""
    feedback_id = new_id()
    row = {"feedback_id": feedback_id, "message_id": new_id(), "event_time": NOW - age, **columns}
    world.insert("feedback", **row)
    return feedback_id


def configure(world: World, half_life: str, tenant_id: UUID | None = None) -> None:
    """Set a half-life, in ISO 8601, for a tenant or for everybody."""
    scope = "GLOBAL" if tenant_id is None else "TENANT"
    world.insert("defaults", tenant_id=tenant_id, scope=scope, routing=Jsonb({"half_life": half_life}))


def assert_follows(world: World, half_life: timedelta = HALF_LIFE) -> None:
    """Every sum is what the rows say, to a billionth of the sum; counts that do not decay exactly."""
    found = facts.evidence(world.dsn)
    expected = facts.reference(world.dsn, half_life, {cell: row["last_time"] for cell, row in found.items()})
    assert set(expected) <= set(found)
    for cell, row in found.items():
        wanted = expected.get(cell, {})
        assert row["raw_n"] == wanted.get("raw_n", 0), cell
        for name in row.keys() - {"last_time"}:
            assert row[name] == pytest.approx(wanted.get(name, 0), rel=1e-9, abs=1e-9), (cell, name)


def test_what_was_counted_turn_by_turn_is_what_the_rows_say(world: World) -> None:
    """New, late, amended, revoked and deleted facts, of transactions that are open across turns."""
    pick = random.Random(11)
    events, rounds = 100_000, 50
    with ExitStack() as stack:
        writers = [stack.enter_context(facts.Writer(world.dsn, seed)) for seed in range(3)]
        for _ in range(rounds):
            writer = pick.choice(writers)
            writer.events(events // rounds)
            if pick.random() < 0.6:
                writer.commit()
            if pick.random() < 0.6:
                world.rollup.turn()
        for writer in writers:
            writer.commit()
    world.rolled_up()

    assert len(facts.evidence(world.dsn)) == 2 * 4 * 3 * 4
    assert_follows(world)
    assert world.query("select from past_feedback union all select from past_messages") == []
    assert world.rollup.rebuild() == Drift(cells=96, wrong=0)
    assert_follows(world)


def test_a_vote_counts_half_after_each_half_life(world: World) -> None:
    for age in (0.0, 1.0, 3.0):
        voted(world, age * HALF_LIFE)
    assert world.rolled_up()[OWN]["explicit_n"] == pytest.approx(1 + 1 / 2 + 1 / 8)
    assert world.evidence()[OWN]["raw_n"] == 3


def test_the_order_of_votes_and_turns_does_not_matter(world: World) -> None:
    ages = [5.0, 0.5, 80.0, 0.0, 2.5]
    for age in ages:
        voted(world, age * HALF_LIFE)
        world.rolled_up()
    assert world.evidence()[OWN]["explicit_n"] == pytest.approx(sum(2**-age for age in ages), rel=1e-12)
    assert_follows(world)


def test_votes_of_many_years_ago_weigh_next_to_nothing(world: World) -> None:
    """And no product is too small a number for the database, whatever the rating."""
    for age in (timedelta(), timedelta(days=5000), timedelta(days=2000)):
        voted(world, age, rating=1e-300)
        assert world.rolled_up()[OWN]["explicit_n"] == DECAYED
    voted(world, timedelta(days=-9000))
    for _ in range(3):
        voted(world, timedelta(days=-9000))
        world.rolled_up()
    assert world.evidence()[OWN]["explicit_n"] == pytest.approx(4)
    assert world.evidence()[OWN]["raw_n"] == 7


def test_an_amended_vote_of_long_ago_is_taken_back_as_it_was(world: World) -> None:
    old = voted(world, HALF_LIFE, rating=1.0)
    voted(world, rating=0.5)
    assert world.rolled_up()[OWN]["explicit_s"] == pytest.approx(1.0)
    world.query("update feedback set rating = 0 where feedback_id = %s returning 1", old)
    assert world.rolled_up()[OWN]["explicit_s"] == pytest.approx(0.5)
    world.feedback.revoke(ADMIN, None, old)
    assert world.rolled_up()[OWN] == {
        "explicit_n": pytest.approx(1), "explicit_s": pytest.approx(0.5), "explicit_q": pytest.approx(0.25),
        "raw_n": 1, "raw_s": 0.5,
    }  # fmt: skip


def test_what_comes_and_goes_within_a_turn_or_a_transaction_is_nothing(world: World) -> None:
    gone = voted(world)
    world.query("update feedback set revoke_time = now() where feedback_id = %s returning 1", gone)
    with psycopg.connect(world.dsn) as connection:
        insert(connection, "feedback", feedback_id=(both := new_id()), message_id=new_id(), rating=0.5)
        connection.execute("update feedback set rating = 0.25 where feedback_id = %s", [both])
    assert world.rolled_up()[OWN] == {
        "explicit_n": 1, "explicit_s": 0.25, "explicit_q": 0.0625, "raw_n": 1, "raw_s": 0.25
    }  # fmt: skip


def test_a_change_that_is_no_news_is_not_counted(world: World) -> None:
    """What a writer says of xid does not matter: the database knows what counts."""
    voted(world)
    message_id = world.called().message_id
    world.rolled_up()
    world.query("update feedback set comment = 'fine', xid = pg_current_xact_id() returning 1")
    world.query("update messages set conversation_id = 'c' where message_id = %s returning 1", message_id)
    assert len(world.query("select from past_feedback")) == 1
    assert world.query("select from past_messages") == []
    cell = world.rolled_up()[OWN]
    assert (cell["raw_n"], cell["explicit_n"], cell["calls"]) == (1, DECAYED, DECAYED)


def test_partitions_made_later_remember_too(world: World) -> None:
    """Of rows in last year's months as of those in this one."""
    time = datetime(NOW.year - 1, 3, 5, tzinfo=UTC)
    world.query("select ensure_partition('feedback', %s), ensure_partition('messages', %s)", time, time)
    voted(world, partition_time=time)
    world.insert("messages", partition_time=time, task_type="code")
    assert world.rolled_up()[OWN]["raw_n"] == 1
    world.query("delete from feedback returning 1")
    world.query("update messages set task_type = 'law' returning 1")
    cells = world.rolled_up()
    assert cells[OWN] == {}
    assert cells["a", "law", "p/m"] == {"calls": DECAYED}


def test_a_change_that_overtakes_the_count_of_what_it_changes_is_counted_once(world: World) -> None:
    """The vote is due, its amendment is not yet: an older transaction still runs."""
    vote = voted(world, rating=1.0)
    await_earlier(world.dsn)
    with psycopg.connect(world.dsn) as slow:
        slow.execute("select pg_current_xact_id()")
        world.query("update feedback set rating = 0 where feedback_id = %s returning 1", vote)
        assert world.rollup.turn()
        assert world.evidence()[OWN]["raw_s"] == 1
    assert world.rolled_up()[OWN] == {"explicit_n": 1, "raw_n": 1}


def test_a_turn_that_is_killed_counts_nothing(world: World) -> None:
    voted(world)
    world.rolled_up()
    voted(world)
    with psycopg.connect(world.dsn) as blocker:
        blocker.execute("select from index_revision for update")
        world.rollup.start()
        counting = (
            "select pid from pg_stat_activity where wait_event_type = 'Lock' and query ~ 'index_revision'"
        )
        turns: list[dict[str, Any]] = []

        def is_held_up() -> bool:
            turns.extend(world.query(counting))
            return bool(turns)

        eventually(is_held_up)
        before = world.evidence()
        world.query("select pg_terminate_backend(%s)", turns[0]["pid"])
    world.rollup.stop()
    assert before[OWN]["raw_n"] == 1
    assert world.rolled_up()[OWN]["raw_n"] == 2
    assert_follows(world)


def test_another_half_life_counts_a_tenant_anew(world: World) -> None:
    voted(world, HALF_LIFE)
    voted(world)
    voted(world, HALF_LIFE, tenant_id=ELSEWHERE)
    voted(world, tenant_id=ELSEWHERE)
    assert world.rolled_up()[OWN]["explicit_n"] == pytest.approx(1.5)

    configure(world, "P90D", HERE)
    assert world.rolled_up()[OWN]["explicit_n"] == pytest.approx(1 + 2**-0.5)
    voted(world, 2 * HALF_LIFE)
    assert world.rolled_up()[OWN]["explicit_n"] == pytest.approx(1.5 + 2**-0.5)

    configure(world, "PT0S")
    world.query("delete from defaults where tenant_id is not null returning 1")
    assert world.rolled_up()[OWN]["explicit_n"] == 3
    elsewhere = world.query("select explicit_n from evidence where tenant_id = %s", ELSEWHERE)
    assert [row["explicit_n"] for row in elsewhere] == [2, 2]


def test_a_half_life_of_more_than_a_year_is_exact(world: World) -> None:
    """It is stored as years of 365 days, where the database's have a quarter more."""
    configure(world, "P1Y35D", HERE)
    with world.database.system() as tx:
        assert evidence.half_lives(tx).own_seconds == {HERE: 400 * 86400}


def test_task_types_beyond_the_first_thousand_are_counted_together(world: World) -> None:
    world.query(
        "insert into decisions (tenant_id, decision_id, create_time, agent_id, task_type, confidence, "
        "source, model_id, reason) select %s, gen_random_uuid(), now(), 'a', 't' || i, "
        "'HIGH', 'TOOL', 'p/m', 'SCORE' "
        "from generate_series(1, %s) as i returning 1",
        HERE,
        MAX_TASK_TYPES,
    )
    world.rolled_up()
    for task_type in ("late", "later", "t7", OTHER_TASKS):
        late = voted(world, task_type=task_type)
    voted(world, task_type="late", tenant_id=ELSEWHERE)
    cells = world.rolled_up()
    assert cells["a", OTHER_TASKS, "p/m"]["raw_n"] == 3
    assert cells["a", "t7", "p/m"]["raw_n"] == 1
    assert ("a", "late", "p/m") not in cells
    assert len(cells) == 2 * MAX_TASK_TYPES + 2
    assert world.query("select task_type from task_types where tenant_id = %s", ELSEWHERE) == [
        {"task_type": "late"}
    ]

    world.feedback.revoke(ADMIN, None, late)
    assert world.rolled_up()["a", OTHER_TASKS, "p/m"]["raw_n"] == 2
    assert world.rollup.rebuild().wrong == 0


def test_rows_restored_from_a_server_that_had_got_further_are_counted_once(world: World) -> None:
    """Their transaction ids are ones that this server will give out later."""
    voted(world)
    world.called()
    world.decide()
    world.rolled_up()
    with psycopg.connect(world.dsn) as restore:
        restore.execute("set session_replication_role = replica")  # triggers do not fire
        [later] = restore.execute("select pg_current_xact_id()::text::bigint + 20").fetchone() or [0]
        for table in ("feedback", "messages", "decisions"):
            restore.execute(f"update {table} set xid = %s::text::xid8", [later])
    world.query("update rollup_state set xid = %s::text::xid8 returning 1", later + 5)
    for _ in range(40):
        world.query("select pg_current_xact_id()")
        world.rolled_up()
    cell = world.evidence()[OWN]
    assert (cell["raw_n"], cell["calls"], cell["decisions"]) == (1, DECAYED, DECAYED)
    assert_follows(world)


def test_counting_anew_repairs_and_says_what_was_wrong(world: World) -> None:
    for _ in range(3):
        voted(world)
    world.vote(world.called(model_id="p/n").message_id, Signal.COPY)
    right = world.rolled_up()
    assert world.rollup.rebuild() == Drift(cells=4, wrong=0)
    world.query("update evidence set explicit_n = explicit_n + 1e-6 where agent_id = '' returning 1")
    world.insert("evidence", agent_id="gone", raw_n=1)
    assert world.rollup.rebuild() == Drift(cells=4, wrong=3)
    assert world.evidence().keys() == right.keys()
    assert_follows(world)
