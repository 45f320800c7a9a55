"""Many votes in one transaction: each is answered after its commit, and each fails alone."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any
from uuid import UUID

import psycopg
import pytest

from imrs_client.ids import new_id, time_of
from imrs_server.domain.errors import DatabaseUnavailable, IdempotencyMismatch, MessageNotFound, Overloaded
from imrs_server.domain.feedback import Signal, Submission, judge
from imrs_server.storage.database import Database
from imrs_server.storage.group_commit import GroupCommit
from imrs_server.storage.idempotency import Key
from tests.support.principals import ADMIN, STRANGER
from tests.support.schema import ELSEWHERE, HERE
from tests.support.threads import no_more_threads
from tests.support.waiting import eventually

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from imrs_server.storage.database import Tx
    from imrs_server.use_cases.voting import Ballot
    from tests.integration.feedback.conftest import World


class Slow:
    """A writer of numbers that can be held, and notes what it wrote together."""

    def __init__(self, database: Database, **options: Any) -> None:
        self.batches: list[list[int]] = []
        self.free = threading.Event()
        self.begun = threading.Event()
        self.busy: set[int] = set()
        self.queue: GroupCommit[int, str] = GroupCommit(
            database, self._write, lambda number: frozenset([number % 100]), name="numbers", **options
        )

    def _write(self, tx: Tx, numbers: Sequence[int]) -> list[str | Exception | None]:
        self.begun.set()
        assert self.free.wait(20)
        if -1 in numbers:
            tx.execute("select 1/0")
        self.batches.append(list(numbers))
        return [None if each in self.busy else str(each) for each in numbers]

    def hold_back(self) -> None:
        """Keep the writer busy with 0, so that what comes next is queued."""
        self.queue.hand_in([0])
        assert self.begun.wait(20)


@pytest.fixture
def slow(world: World) -> Iterator[Slow]:
    found = Slow(world.database)
    yield found
    found.free.set()
    found.queue.stop()


def test_what_came_during_a_commit_goes_into_the_next(slow: Slow) -> None:
    slow.hold_back()
    tickets = [slow.queue.hand_in([number])[0] for number in (1, 2, 3)]
    slow.free.set()
    assert [each.wait(20) for each in tickets] == ["1", "2", "3"]
    assert slow.batches == [[0], [1, 2, 3]]


def test_a_batch_has_a_limit_and_items_of_one_claim_take_turns(world: World) -> None:
    slow = Slow(world.database, most=3)
    slow.hold_back()
    tickets = slow.queue.hand_in([1, 101, 2, 201, 3, 4])
    slow.free.set()
    assert [each.wait(20) for each in tickets] == ["1", "101", "2", "201", "3", "4"]
    slow.queue.stop()
    assert slow.batches == [[0], [1, 2, 3], [101, 4], [201]]


def test_one_bad_item_fails_alone(slow: Slow) -> None:
    slow.hold_back()
    tickets = slow.queue.hand_in([1, 2, -1, 3, 4])
    slow.free.set()
    outcomes = [each.wait(20) for each in tickets]
    assert isinstance(outcomes.pop(2), psycopg.errors.DivisionByZero)
    assert outcomes == ["1", "2", "3", "4"]


def test_an_item_that_somebody_else_holds_comes_again_and_holds_up_nobody(slow: Slow) -> None:
    slow.busy.add(1)
    slow.free.set()
    first, later, other = slow.queue.hand_in([1, 101, 2])
    assert other.wait(20) == "2"
    slow.busy.clear()
    assert [first.wait(20), later.wait(20)] == ["1", "101"]


def test_a_full_queue_refuses_and_says_when_to_come_again(world: World) -> None:
    slow = Slow(world.database, capacity=2)
    slow.hold_back()
    *queued, refused = slow.queue.hand_in([1, 2, 3])
    overloaded = refused.wait(0)
    assert isinstance(overloaded, Overloaded)
    assert overloaded.retry_after_seconds
    slow.free.set()
    assert [each.wait(20) for each in queued] == ["1", "2"]
    slow.queue.stop()


def test_whoever_loses_patience_is_forgotten(slow: Slow) -> None:
    slow.hold_back()
    [ticket] = slow.queue.hand_in([1])
    assert isinstance(ticket.wait(0), DatabaseUnavailable)
    slow.free.set()
    assert slow.queue.hand_in([2])[0].wait(20) == "2"
    assert slow.batches == [[0], [2]]


def test_stopping_writes_what_is_queued_and_takes_nothing_more(slow: Slow) -> None:
    slow.hold_back()
    tickets = slow.queue.hand_in([1, 2])
    slow.free.set()
    slow.queue.stop()
    assert [each.wait(0) for each in tickets] == ["1", "2"]
    assert isinstance(slow.queue.hand_in([3])[0].wait(0), Overloaded)


def test_where_no_thread_could_be_started_the_next_one_starts_it(slow: Slow) -> None:
    slow.free.set()
    with no_more_threads(), pytest.raises(RuntimeError):
        slow.queue.hand_in([1])
    assert slow.queue.hand_in([2])[0].wait(20) == "2"


def test_a_database_that_is_away_fails_all_that_wait_at_once() -> None:
    database = Database("postgresql://nobody:x@127.0.0.1:9/none")
    database.open()
    queue: GroupCommit[int, str] = GroupCommit(
        database, lambda _tx, numbers: [str(each) for each in numbers], lambda n: frozenset([n]), name="none"
    )
    tickets = [queue.hand_in([number])[0] for number in range(50)]
    assert all(isinstance(each.wait(20), DatabaseUnavailable) for each in tickets)
    queue.stop()
    database.close()


def ballot(
    world: World, message_id: UUID, *, who: Any = ADMIN, key: Key | None = None, **fields: Any
) -> Ballot:
    vote = Submission(message_id=message_id, judgement=judge(Signal.THUMBS_UP, None, None), **fields)
    return world.feedback.check(who, None, vote, key=key)


def test_votes_of_many_tenants_are_counted_at_once_and_each_fails_alone(world: World) -> None:
    here = world.called().message_id
    there = world.record(STRANGER, agent_id="a", model_id="p/m").message_id
    ballots = [
        ballot(world, here, user_id="u"),
        ballot(world, UUID(int=7)),
        ballot(world, there, who=STRANGER),
        ballot(world, here, user_id="v"),
    ]

    answers = world.feedback.count(ballots)

    assert isinstance(answers[1], MessageNotFound)
    rows = world.query("select tenant_id, user_id, counts, speaks from feedback order by feedback_id")
    assert [(row["tenant_id"], row["user_id"], row["speaks"]) for row in rows] == [
        (HERE, "u", False),
        (ELSEWHERE, "", True),
        (HERE, "v", True),
    ]


def test_one_key_used_twice_at_once_is_one_vote_or_a_mismatch(world: World) -> None:
    one, other = world.called().message_id, world.called().message_id
    key = Key(method="SubmitFeedback", caller="ann", request_id="k", request_hash=bytes(32))
    another = Key(method="SubmitFeedback", caller="ann", request_id="k", request_hash=bytes([1] * 32))
    first, again, mismatch = world.feedback.count(
        [ballot(world, one, key=key), ballot(world, one, key=key), ballot(world, other, key=another)]
    )
    assert first == again
    assert isinstance(mismatch, IdempotencyMismatch)
    assert len(world.query("select from feedback")) == 1


def test_flags_follow_amendments_and_revocations(world: World) -> None:
    message_id = world.called().message_id

    def stand() -> dict[str, tuple[bool, bool]]:
        rows = world.query("select feedback_type, counts, speaks from feedback where revoke_time is null")
        return {row["feedback_type"]: (row["counts"], row["speaks"]) for row in rows}

    world.vote(message_id, Signal.COPY, user_id="u")
    assert stand() == {"IMPLICIT": (True, True)}
    explicit = world.vote(message_id, Signal.THUMBS_DOWN, user_id="u")
    assert stand() == {"IMPLICIT": (False, False), "EXPLICIT": (True, True)}
    world.feedback.revoke(ADMIN, None, explicit.feedback_id)
    assert stand() == {"IMPLICIT": (True, True)}
    world.vote(message_id, Signal.THUMBS_UP, user_id="u")
    assert stand() == {"IMPLICIT": (False, False), "EXPLICIT": (True, True)}


def test_votes_that_waited_stand_right_once_their_message_or_decision_comes(world: World) -> None:
    message_id, decision_id = new_id(), new_id()
    for each in (message_id, decision_id):
        world.vote(each, Signal.THUMBS_UP, user_id="u")
        world.vote(each, Signal.COPY, user_id="u")
    world.called(message_id=message_id)
    world.decide(landed=False)
    world.log[0] |= {"decision_id": decision_id, "create_time": time_of(decision_id)}
    world.flush()
    world.rolled_up()
    rows = world.query("select feedback_type, pending, counts, speaks from feedback")
    assert len(rows) == 4
    assert all(not row["pending"] for row in rows)
    assert all(row["counts"] == row["speaks"] == (row["feedback_type"] == "EXPLICIT") for row in rows)


def test_a_crowd_on_one_message_is_counted_one_after_the_other(world: World) -> None:
    message_id = world.called().message_id
    with ThreadPoolExecutor(16) as pool:
        list(pool.map(lambda i: world.vote(message_id, Signal.THUMBS_UP, user_id=str(i)), range(32)))
    rows = world.query("select speaks from feedback")
    assert len(rows) == 32
    assert sum(row["speaks"] for row in rows) == 1


def test_a_message_that_somebody_works_on_holds_up_no_other_vote(world: World) -> None:
    held, other = world.called().message_id, world.called().message_id
    with psycopg.connect(world.dsn) as holder, ThreadPoolExecutor(1) as pool:
        name = f"imrs.message.{HERE}/{held}"
        holder.execute("select pg_advisory_xact_lock(hashtextextended(%s, 0))", [name])
        waiting = pool.submit(world.vote, held, Signal.THUMBS_UP)
        assert world.vote(other, Signal.THUMBS_UP).rating == 1
        assert not waiting.done()
        holder.commit()
        assert waiting.result().rating == 1
    eventually(lambda: len(world.query("select from feedback")) == 2)
