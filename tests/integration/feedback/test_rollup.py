"""From votes to evidence."""

from __future__ import annotations

from typing import TYPE_CHECKING

import psycopg
import pytest
from psycopg.types.json import Jsonb

from imrs_client.ids import new_id, time_of
from imrs_server.domain.chat import FAULTS_OF_CALLERS
from imrs_server.domain.feedback import FeedbackType, Signal
from imrs_server.domain.message import Outcome
from imrs_server.jobs.rollup import Rollup
from imrs_server.storage import changes
from imrs_server.storage.changes import Change, Kind
from tests.support.principals import ADMIN
from tests.support.schema import HERE
from tests.support.waiting import eventually

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.integration.feedback.conftest import World

OWN, POOLED = ("a", "code", "p/m"), ("", "code", "p/m")


@pytest.fixture(autouse=True)
def undecayed(world: World) -> None:
    """Without decay, so that sums are whole numbers."""
    world.insert("defaults", tenant_id=None, scope="GLOBAL", routing=Jsonb({"half_life": "PT0S"}))


@pytest.fixture
def running(world: World) -> Iterator[World]:
    world.rollup.start()
    yield world
    world.rollup.stop()


@pytest.fixture
def woken(world: World) -> Iterator[World]:
    """The roll-up runs, and never by itself."""
    world.rollup = Rollup(world.database, poll_seconds=3600.0)
    world.rollup.start()
    yield world
    world.rollup.stop()


def since(world: World, revision: int) -> list[Change]:
    with world.database.system() as tx:
        return [change for _, change in changes.since(tx, revision)]


def revision(world: World) -> int:
    with world.database.system() as tx:
        return changes.current(tx).rev


def test_every_kind_of_vote_has_sums_of_its_own(world: World) -> None:
    for signal in Signal:
        rating = 0.25 if signal in {Signal.SCORE, Signal.EVALUATION} else None
        world.vote(world.called().message_id, signal, rating)
    world.vote(world.called().message_id, rating=0.75, feedback_type=FeedbackType.IMPLICIT)
    world.vote(world.called().message_id, rating=0.5)

    expected = {
        "explicit_n": 2, "explicit_s": 0.75, "explicit_q": 0.3125,
        "thumbs_up_n": 1, "thumbs_up_s": 1, "thumbs_down_n": 1,
        "self_n": 1, "self_s": 0.25, "self_q": 0.0625,
        "implicit_n": 1, "implicit_s": 0.75, "implicit_q": 0.5625,
        "regenerate_n": 1, "copy_n": 1, "copy_s": 1, "continue_n": 1, "continue_s": 0.5, "abandon_n": 1,
        "raw_n": 10, "raw_s": 4.25, "calls": 10,
    }  # fmt: skip
    assert world.rolled_up() == {OWN: expected, POOLED: expected}


def test_calls_count_with_their_errors_and_what_they_took(world: World) -> None:
    for outcome, latency_ms in (
        ("OK", 100),
        ("OK", 300),
        ("OK", 0),
        ("ERROR", 7),
        ("TIMEOUT", 9),
        ("CANCELLED", 5),
    ):
        world.called(outcome=Outcome(outcome), latency_ms=latency_ms)
    expected = {"calls": 6, "errors": 2, "latency_n": 2, "latency_ms_sum": 400}
    assert world.rolled_up() == {OWN: expected, POOLED: expected}


@pytest.mark.parametrize("kind", sorted(FAULTS_OF_CALLERS))
def test_what_a_caller_did_wrong_is_no_error_of_the_model(world: World, kind: str) -> None:
    message_id = world.called(outcome=Outcome.ERROR, error_kind=kind).message_id
    assert world.rolled_up()[OWN] == {"calls": 1}
    world.called(message_id=message_id, outcome=Outcome.ERROR, error_kind="overloaded")
    assert world.rolled_up()[OWN] == {"calls": 1, "errors": 1}
    world.called(message_id=message_id, outcome=Outcome.ERROR, error_kind=kind)
    assert world.rolled_up()[OWN] == {"calls": 1}


def test_a_call_that_is_reported_again_is_counted_as_it_was_last(world: World) -> None:
    message_id = world.called(latency_ms=100).message_id
    assert world.rolled_up()[OWN] == {"calls": 1, "latency_n": 1, "latency_ms_sum": 100}
    world.called(message_id=message_id, outcome=Outcome.ERROR)
    assert world.rolled_up()[OWN] == {"calls": 1, "errors": 1}


def test_decisions_are_counted(world: World) -> None:
    for _ in range(2):
        world.decide()
    world.decide(task_type="writing", model_id="p/n")
    assert world.rolled_up() == {
        OWN: {"decisions": 2},
        POOLED: {"decisions": 2},
        ("a", "writing", "p/n"): {"decisions": 1},
        ("", "writing", "p/n"): {"decisions": 1},
    }


def test_the_plain_average_counts_each_message_once(world: World) -> None:
    """By the vote that speaks for it; of the others those that count are in the sums of their kinds."""
    world.insert("feedback", rating=0.5, speaks=True)
    world.insert("feedback", feedback_id=new_id(), rating=0.25, user_id="v", speaks=False)
    copied = {"feedback_type": "IMPLICIT", "signal": "COPY"}
    world.insert("feedback", feedback_id=new_id(), rating=1, counts=False, speaks=False, **copied)

    expected = {"raw_n": 1, "raw_s": 0.5, "explicit_n": 2, "explicit_s": 0.75, "explicit_q": 0.3125}
    assert world.rolled_up() == {OWN: expected, POOLED: expected}

    # The explicit votes are taken back, and what was inferred is all there is.
    world.query("update feedback set revoke_time = now() where feedback_type = 'EXPLICIT' returning 1")
    world.query(
        "update feedback set counts = true, speaks = true where feedback_type = 'IMPLICIT' returning 1"
    )
    expected = {"raw_n": 1, "raw_s": 1, "copy_n": 1, "copy_s": 1}
    assert world.rolled_up() == {OWN: expected, POOLED: expected}


def test_an_explicit_vote_wins_over_what_was_inferred_until_it_is_taken_back(world: World) -> None:
    message_id = world.called().message_id
    world.vote(message_id, Signal.COPY)
    assert world.rolled_up()[OWN]["copy_n"] == 1
    stated = world.vote(message_id, Signal.THUMBS_DOWN)
    assert world.rolled_up()[OWN] == {"thumbs_down_n": 1, "raw_n": 1, "calls": 1}
    world.vote(message_id, Signal.CONTINUE, user_id="v")
    assert world.rolled_up()[OWN] == {"thumbs_down_n": 1, "raw_n": 1, "calls": 1}

    world.feedback.revoke(ADMIN, None, stated.feedback_id)

    inferred = {"copy_n": 1, "copy_s": 1, "continue_n": 1, "continue_s": 0.5}
    assert world.rolled_up()[OWN] == {**inferred, "raw_n": 1, "raw_s": 0.5, "calls": 1}


def test_the_pooled_cell_is_of_all_agents_of_the_tenant(world: World) -> None:
    for agent_id, rating in (("a", 1.0), ("a", 0.5), ("b", 0.0)):
        world.vote(world.called(agent_id=agent_id).message_id, rating=rating)

    cells = world.rolled_up()

    assert {key: (cell["raw_n"], cell.get("raw_s", 0)) for key, cell in cells.items()} == {
        OWN: (2, 1.5),
        ("b", "code", "p/m"): (1, 0),
        POOLED: (3, 1.5),
    }


def test_a_turn_takes_one_revision_for_the_agents_and_tasks_whose_evidence_moved(world: World) -> None:
    world.rolled_up()
    before = revision(world)
    for agent_id in ("a", "a", "b"):
        world.vote(world.called(agent_id=agent_id).message_id, Signal.COPY)

    world.rolled_up()

    assert since(world, before) == [Change(Kind.EVIDENCE, f"{each}/code", HERE) for each in "ab"]
    assert revision(world) == before + 1
    world.rolled_up()
    assert revision(world) == before + 1


def test_amended_and_revoked_votes_are_counted_as_they_are(world: World) -> None:
    message_id = world.called().message_id
    vote = world.vote(message_id, rating=1.0)
    assert world.rolled_up()[OWN]["raw_s"] == 1.0
    world.vote(message_id, rating=0.25)
    assert world.rolled_up()[OWN]["raw_s"] == 0.25
    world.feedback.revoke(ADMIN, None, vote.feedback_id)
    assert world.rolled_up() == {OWN: {"calls": 1}, POOLED: {"calls": 1}}


def test_a_vote_moves_with_its_message_to_the_model_that_really_served(world: World) -> None:
    decision_id = world.decide()
    world.vote(decision_id, rating=1.0)
    assert world.rolled_up()[OWN]["raw_n"] == 1

    world.record(decision_id=decision_id, model_id="p/n")

    cells = world.rolled_up()
    assert cells[OWN] == cells[POOLED] == {"decisions": 1}
    assert cells["a", "code", "p/n"]["raw_n"] == cells["", "code", "p/n"]["raw_n"] == 1


def test_a_pending_vote_counts_once_its_decision_lands(world: World) -> None:
    decision_id = new_id()
    world.vote(decision_id, rating=1.0)
    assert world.rolled_up() == {}

    world.insert("decisions", decision_id=decision_id, create_time=time_of(decision_id))

    assert world.rolled_up()[OWN]["explicit_n"] == 1


def test_a_vote_that_waits_in_vain_is_dropped_and_counted(world: World) -> None:
    for _ in range(2):
        world.vote(new_id(), Signal.THUMBS_UP)
    world.query(
        "update feedback set create_time = now() - interval '61 minutes' "
        "where feedback_id = (select min(feedback_id::text)::uuid from feedback) returning 1"
    )
    world.rolled_up()
    assert world.rollup.dropped == 1
    assert len(world.query("select from feedback")) == 1


def test_a_transaction_that_ends_late_is_not_overtaken(world: World) -> None:
    """Votes are counted by transaction id only up to the oldest that still runs, and never lost."""
    early, late = world.called().message_id, world.called().message_id
    world.rolled_up()
    with psycopg.connect(world.dsn) as slow:
        slow.execute("select pg_current_xact_id()")
        world.vote(early, rating=1.0)
        assert world.rollup.turn()
        assert "explicit_n" not in world.evidence()[OWN]
        slow.execute(
            "insert into feedback (tenant_id, feedback_id, message_id, partition_time, agent_id, model_id, "
            "task_type, rating, feedback_type) values (%s, %s, %s, now(), 'a', 'p/m', 'code', 0, 'EXPLICIT')",
            [HERE, new_id(), late],
        )
    assert world.rolled_up()[OWN]["explicit_n"] == 2


def test_one_server_counts_at_a_time(world: World) -> None:
    world.vote(world.called().message_id, rating=1.0)
    with psycopg.connect(world.dsn) as leader:
        leader.execute("select pg_advisory_xact_lock(hashtextextended('imrs.rollup', 0))")
        assert world.rollup.turn()
        assert world.evidence() == {}
    assert world.rolled_up()[OWN]["raw_n"] == 1


def test_a_restored_database_is_counted_from_scratch(world: World) -> None:
    world.vote(world.called().message_id, rating=1.0)
    counted = world.rolled_up()
    before = revision(world)
    world.insert("evidence", agent_id="gone")
    world.query("update index_revision set epoch = gen_random_uuid() returning 1")
    world.query("update rollup_state set xid = '9' returning 1")

    assert world.rolled_up() == counted
    assert since(world, before) == [Change(Kind.EVIDENCE)]


def test_a_vote_is_evidence_without_waiting_for_the_poll(woken: World) -> None:
    eventually(lambda: bool(woken.query("select from rollup_state")))
    for i in range(5):
        message_id = woken.called().message_id
        woken.vote(message_id, rating=1.0)
        eventually(lambda n=i + 1: woken.evidence().get(OWN, {}).get("raw_n") == n)  # type: ignore[misc]


def test_votes_that_another_server_took_are_found_by_the_poll(world: World) -> None:
    other = Rollup(world.database, poll_seconds=0.1)
    other.start()
    try:
        world.vote(world.called().message_id, rating=1.0)
        eventually(lambda: OWN in world.evidence())
    finally:
        other.stop()
