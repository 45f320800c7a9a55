"""The decision log (FR-06.7): every decision lands once, and Route waits for none of it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import psycopg
import pytest

from imrs_client.ids import new_id
from imrs_client.limits import UNLIMITED
from imrs_client.ranked import Policy, Reason
from imrs_client.tasks import Confidence, Detection, Source
from imrs_server.domain.decision import Answer, Decision, RouteQuery, SelectedModel, recall, record
from imrs_server.domain.errors import DecisionNotFound, RoleRequired
from imrs_server.domain.listing import PageRequest
from imrs_server.domain.shadow import Shadow
from imrs_server.jobs.decision_log import MANY, DecisionLog
from imrs_server.storage import decisions
from imrs_server.storage.database import Database
from imrs_server.use_cases.decisions import Decisions
from tests.support import tables
from tests.support.principals import ADMIN, PLATFORM, STRANGER, agent
from tests.support.schema import ELSEWHERE, HERE
from tests.support.waiting import eventually

if TYPE_CHECKING:
    from uuid import UUID

    from imrs_server.use_cases.route import Router


def decision(
    time: datetime | None = None,
    tenant_id: UUID = HERE,
    *,
    agent_id: str = "a",
    reason: Reason = Reason.SCORE,
    request_id: str = "r-1",
) -> Decision:
    time = time or datetime.now(UTC)
    time = time.replace(microsecond=time.microsecond // 1000 * 1000)
    return Decision(
        decision_id=new_id(time),
        request_id=request_id,
        answer=Answer(
            tenant_id=tenant_id,
            agent_id=agent_id,
            task=Detection(
                task_type="code",
                confidence=Confidence.HIGH,
                source=Source.TOOL,
                required_capabilities=("vision",),
                alternatives=("law",),
            ),
            selected=SelectedModel(model_id="p/m", score=0.75),
            fallbacks=(SelectedModel(model_id="p/n"), SelectedModel(model_id="p/o")),
            reason=reason,
            candidates_total=3,
            candidates_eligible=2,
        ),
        index_revision=7,
        stale=True,
        conversation_id="c-1",
    )


def stored(db: Database, *made: Decision) -> int:
    with db.system() as tx:
        found = [decisions.get(tx, each.tenant_id, each.decision_id) for each in made]
    return sum(each is not None for each in found)


def test_what_is_kept_comes_back(db: Database, decision_log: DecisionLog) -> None:
    made = decision()
    decision_log.offer(made)
    assert decision_log.flush()
    with db.transaction(HERE) as tx:
        found = decisions.get(tx, HERE, made.decision_id)
    assert found == record(made)
    again = recall(found)
    assert record(again) == found
    assert again.task == made.task
    with db.transaction(ELSEWHERE) as tx:
        assert decisions.get(tx, HERE, made.decision_id) is None
        assert decisions.get(tx, ELSEWHERE, made.decision_id) is None
        assert decisions.get(tx, HERE, new_id()) is None


def test_the_thread_writes_what_route_answers(
    router: Router, decision_log: DecisionLog, db: Database
) -> None:
    decision_log.start()
    made = router.route(agent("a"), RouteQuery(task_type="code", request_id="r"))
    eventually(lambda: stored(db, made) == 1)
    last = router.route(agent("a"), RouteQuery())
    decision_log.stop()
    assert stored(db, made, last) == 2


def test_what_a_policy_on_trial_draws_is_kept_for_each_decision(
    db: Database, decision_log: DecisionLog
) -> None:
    lucky = tables.table(
        tables.candidate("p/best", 0.9, estimate=0.6),
        tables.candidate("p/other", 0.8, estimate=0.5, task_rating_count=0),
        policy=Policy(exploration_rate=1.0),
    )
    made = decision()._replace(shadow=Shadow(lucky, UNLIMITED))
    # Of one answer, as Route gives it again and again.
    all_made = [made._replace(decision_id=new_id()) for _ in range(40)]
    for each in all_made:
        decision_log.offer(each)
    assert decision_log.flush()
    with db.transaction(HERE) as tx:
        found = [decisions.get(tx, HERE, each.decision_id) for each in all_made]
    assert {each.detail["shadow"]["model_id"] for each in found if each} == {"p/best", "p/other"}


def test_a_missing_partition_is_made(db: Database, decision_log: DecisionLog) -> None:
    with psycopg.connect(db.dsn) as connection:
        connection.execute("drop table if exists " + f"decisions_{datetime.now(UTC):%Y_%m}")
    past = datetime.now(UTC) - timedelta(days=70)
    made = [decision(), decision(past), decision()]
    for each in made:
        decision_log.offer(each)
    assert decision_log.flush()
    assert (stored(db, *made), decision_log.dropped) == (3, 0)


def test_many_at_once_do_not_wait_for_more(db: Database) -> None:
    log = DecisionLog(db, period_seconds=3600)
    log.start()
    made = decision()
    for _ in range(MANY + 1):
        log.offer(made._replace(decision_id=new_id()))
    eventually(lambda: log.waiting < MANY)
    log.stop()
    assert log.dropped == 0


def test_a_full_buffer_drops_and_counts(db: Database) -> None:
    log = DecisionLog(db, capacity=2)
    made = [decision() for _ in range(5)]
    for each in made:
        log.offer(each)
    assert log.flush()
    assert (stored(db, *made), log.dropped) == (2, 3)


def test_what_comes_while_others_are_written_is_for_the_next_time(db: Database) -> None:
    made = [decision() for _ in range(3)]
    log = DecisionLog(db, observers=[lambda _: log.offer(made[2])])
    for each in made[:2]:
        log.offer(each)
    assert log.flush()
    assert (stored(db, *made), log.waiting) == (2, 1)


def test_what_was_stored_by_an_attempt_whose_end_was_not_seen_is_stored_once(
    db: Database, decision_log: DecisionLog
) -> None:
    made = [decision() for _ in range(4)]
    for each in (*made[:2], *made):
        decision_log.offer(each)
    assert decision_log.flush()
    assert (stored(db, *made), decision_log.dropped) == (4, 0)


def test_one_that_the_database_refuses_takes_no_other_along(db: Database, decision_log: DecisionLog) -> None:
    made = [decision() for _ in range(9)]
    bad = [decision(request_id="\0"), decision(datetime(1999, 1, 1, tzinfo=UTC)), decision(agent_id="")]
    for each in (*made[:3], *bad, *made[3:]):
        decision_log.offer(each)
    assert decision_log.flush()
    assert (stored(db, *made, *bad), decision_log.dropped) == (9, 3)


def test_while_the_database_is_away_the_oldest_are_kept_in_order() -> None:
    away = Database("postgresql://postgres@127.0.0.1:1/none", app_connections=1, system_connections=1)
    away.open()
    log = DecisionLog(away, capacity=3)
    made = [decision() for _ in range(4)]
    for each in made[:2]:
        log.offer(each)
    assert not log.flush()
    for each in made[2:]:
        log.offer(each)
    assert (list(log._waiting), log.dropped) == (made[:3], 1)
    away.close()


def test_what_is_left_at_the_end_while_the_database_is_away_counts_as_dropped() -> None:
    away = Database("postgresql://postgres@127.0.0.1:1/none", app_connections=1, system_connections=1)
    away.open()
    log = DecisionLog(away)
    log.start()
    for _ in range(3):
        log.offer(decision())
    log.stop()
    assert (log.waiting, log.dropped) == (0, 3)
    away.close()


def test_what_comes_after_the_end_counts_as_dropped(db: Database) -> None:
    log = DecisionLog(db)
    log.start()
    log.offer(decision())
    log.stop()
    log.offer(decision())
    assert (log.waiting, log.dropped) == (0, 1)


def test_decisions_are_read_by_their_tenant_and_listed_newest_first(
    db: Database, decision_log: DecisionLog
) -> None:
    start = datetime.now(UTC)
    made = [decision(start + timedelta(seconds=i)) for i in range(3)]
    pinned = decision(start + timedelta(seconds=3), reason=Reason.OVERRIDE, agent_id="b")
    foreign = decision(start, tenant_id=ELSEWHERE)
    for each in (*made, pinned, foreign):
        decision_log.offer(each)
    desk = Decisions(db, decision_log.flush)
    assert record(desk.get(ADMIN, None, made[0].decision_id)) == record(made[0])
    for who, found in ((STRANGER, made[0]), (ADMIN, foreign)):
        with pytest.raises(DecisionNotFound):
            desk.get(who, None, found.decision_id)
    with pytest.raises(RoleRequired):
        desk.get(agent("a"), None, made[0].decision_id)

    def listed(who: object = ADMIN, **filters: object) -> list[UUID]:
        page = desk.list(who, None, PageRequest(), **filters)  # type: ignore[arg-type]  # of the method
        assert page.total_size == len(page.items)
        return [each.decision_id for each in page.items]

    newest = [pinned.decision_id, *(each.decision_id for each in reversed(made))]
    assert listed() == newest
    assert set(listed(PLATFORM)) == {*newest, foreign.decision_id}
    assert listed(agent_id="b") == listed(reason=Reason.OVERRIDE) == [pinned.decision_id]
    assert listed(start_time=made[1].create_time, end_time=made[2].create_time) == [made[1].decision_id]
    first = desk.list(ADMIN, None, PageRequest(size=3))
    rest = desk.list(ADMIN, None, PageRequest(size=3, after=first.after))
    assert [each.decision_id for each in (*first.items, *rest.items)] == newest


def test_observers_are_told_of_each_decision_once_also_while_the_database_is_away(db: Database) -> None:
    told: list[Decision] = []

    def fails(_decisions: object) -> None:
        raise RuntimeError

    away = Database(db.dsn)
    log = DecisionLog(away, observers=[fails, told.extend])
    made = [decision() for _ in range(5)]
    for number, each in enumerate(made[:3], 1):
        log.offer(each)
        assert not log.flush()
        assert told == made[:number]
    away.open()
    log.offer(made[3])
    eventually(log.flush)
    log.offer(made[4])
    assert log.flush()
    away.close()
    assert told == made
    assert stored(db, *made) == len(made)
