"""RecordDecisions: what a client decided by itself becomes part of the log, once."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from psycopg.types.json import Jsonb

from imrs_client import v1 as pb
from imrs_client.ids import new_id
from imrs_client.ranked import Reason
from imrs_server.domain.decision import RouteQuery
from imrs_server.domain.errors import AgentMismatch, DatabaseUnavailable, RoleRequired, TenantMismatch
from imrs_server.domain.listing import PageRequest
from imrs_server.domain.principal import Principal, Role
from imrs_server.index.warm import Index
from imrs_server.jobs.rollup import Rollup
from imrs_server.storage.database import Database
from imrs_server.transport.convert import reports as convert
from imrs_server.use_cases.decisions import Decisions
from imrs_server.use_cases.reports import COMPARABLE_AGE, DecisionReports
from tests.support.schema import ELSEWHERE, HERE
from tests.support.transactions import await_earlier

if TYPE_CHECKING:
    from collections.abc import Iterator
    from uuid import UUID

    from imrs_server.domain.decision import Decision
    from tests.support.world import World

AGENT = Principal(subject="a", tenant_id=HERE, roles=frozenset({Role.AGENT}), agent_id="a")
ADMIN = Principal(subject="t", tenant_id=HERE, roles=frozenset({Role.TENANT_ADMIN}))


def report(decision_id: UUID | None = None, **fields: Any) -> pb.Decision:
    """What a client says of a decision of this moment, unless ``decision_id`` says otherwise."""
    decision_id = decision_id or new_id()
    found = pb.Decision(
        decision_id=str(decision_id),
        request_id="r-1",
        tenant_id=str(HERE),
        agent_id="a",
        task=pb.TaskDetection(
            task_type="code",
            confidence=pb.TaskDetection.HIGH,
            source=pb.TaskDetection.REQUEST,
            required_capabilities=["vision"],
        ),
        selected=pb.SelectedModel(model_id="p/high", score=0.6),
        fallbacks=[pb.SelectedModel(model_id="p/mid")],
        reason=pb.Decision.EXPLORE,
        candidates_total=3,
        candidates_eligible=2,
        index_revision=7,
        stale=True,
        propensity=0.25,
    )
    found.create_time.FromMilliseconds(decision_id.int >> 80)
    found.MergeFrom(pb.Decision(**fields))
    return found


def decision(*given: Any, **fields: Any) -> Decision:
    return convert.decision(report(*given, **fields), AGENT)


@pytest.fixture
def reports(world: World, index: Index) -> Iterator[DecisionReports]:
    found = DecisionReports(world.database, index)
    yield found
    found.stop()


CONTEXT = convert.Context(request=RouteQuery(), propensities={})


def asked(*given: Any, **fields: Any) -> Decision:
    """A decision that tells what it was asked."""
    return convert.decision(report(*given, **fields), AGENT, CONTEXT)


def stored(db: Database) -> list[Decision]:
    log = Decisions(db, lambda: None)
    return list(log.list(ADMIN, None, PageRequest(size=1000)).items)


def test_a_reported_decision_is_in_the_log_like_any_other(reports: DecisionReports, db: Database) -> None:
    told = decision()
    assert reports.take(AGENT, [told]) == 1
    [kept] = stored(db)
    assert (kept.decision_id, kept.create_time) == (told.decision_id, told.create_time)
    assert (kept.tenant_id, kept.agent_id, kept.request_id) == (HERE, "a", "r-1")
    assert kept.task == told.task
    assert (kept.selected.model_id, kept.selected.score) == ("p/high", 0.6)
    assert [each.model_id for each in kept.fallbacks] == ["p/mid"]
    assert (kept.reason, kept.propensity) == (Reason.EXPLORE, 0.25)
    assert (kept.candidates_total, kept.candidates_eligible, kept.index_revision) == (3, 2, 7)
    assert kept.stale
    # What was asked is not told, so that nobody takes it again as if nothing had been asked.
    assert kept.query is None


def test_what_is_known_already_is_accepted_and_not_stored_twice(
    reports: DecisionReports, db: Database
) -> None:
    first = [decision() for _ in range(3)]
    assert reports.take(AGENT, first) == 3
    assert reports.take(AGENT, [*first, decision(), first[0]]) == 5
    assert len(stored(db)) == 4


def test_many_clients_at_once(reports: DecisionReports, db: Database) -> None:
    batches = [[decision() for _ in range(20)] for _ in range(16)]
    with ThreadPoolExecutor(16) as clients:
        answers = clients.map(lambda each: reports.take(AGENT, each), [*batches, *batches])
        assert list(answers) == [20] * 32
    assert {each.decision_id for each in stored(db)} == {
        each.decision_id for some in batches for each in some
    }


@pytest.mark.parametrize(
    ("age", "accepted"),
    [
        (timedelta(days=30), 1),
        (timedelta(days=32), 0),
        (-timedelta(minutes=4), 1),
        (-timedelta(minutes=6), 0),
    ],
)
def test_times_that_are_not_credible_are_not_accepted(
    reports: DecisionReports, db: Database, age: timedelta, accepted: int
) -> None:
    then = new_id(datetime.now(UTC) - age)
    assert reports.take(AGENT, [decision(then), decision()]) == 1 + accepted
    assert len(stored(db)) == 1 + accepted


def test_models_that_never_were_are_not_accepted(reports: DecisionReports, db: Database) -> None:
    invented = [decision(selected=pb.SelectedModel(model_id=f"p/none-{number}")) for number in range(3)]
    assert reports.take(AGENT, [invented[0], decision(), *invented[1:]]) == 1
    assert [each.selected.model_id for each in stored(db)] == ["p/high"]


def test_an_agent_reports_for_itself_alone_and_then_nothing_of_it_is_stored(
    reports: DecisionReports, db: Database
) -> None:
    with pytest.raises(AgentMismatch):
        reports.take(AGENT, [decision(), decision(agent_id="b")])
    with pytest.raises(TenantMismatch):
        reports.take(AGENT, [decision(), decision(tenant_id=str(ELSEWHERE))])
    with pytest.raises(RoleRequired):
        reports.take(ADMIN, [decision()])
    assert stored(db) == []


def test_the_evidence_counts_them(reports: DecisionReports, db: Database) -> None:
    reports.take(AGENT, [decision() for _ in range(5)])
    await_earlier(db.dsn)
    Rollup(db).turn()
    with db.system() as tx:
        row = tx.execute(
            "select decisions from evidence where (agent_id, task_type, model_id) = ('a', 'code', 'p/high')"
        ).fetchone()
    assert row is not None
    assert row["decisions"] == pytest.approx(5)


def shadows(db: Database) -> list[str | None]:
    """What the policy on trial would have chosen, by the age of the decisions."""
    with db.system() as tx:
        found = tx.execute("select detail #>> '{shadow,model_id}' as it from decisions order by decision_id")
        return [row["it"] for row in found]


def test_a_policy_on_trial_is_decided_beside_them_too(
    reports: DecisionReports, db: Database, world: World, index: Index
) -> None:
    for name, rating in (("low", 1.0), ("mid", 0.0), ("high", 0.0)):
        world.rate(name, rating)
    routing = {"shadow": {"priority_weight": 0, "experience_weight": 1}}
    assert index.wait_for(world.update_agent(routing=Jsonb(routing)), 20)
    blind = report()
    del blind.task.required_capabilities[:]
    told = [convert.decision(blind, AGENT, CONTEXT), asked(), decision()]
    assert reports.take(AGENT, told) == 3
    assert shadows(db) == ["p/low", "p/high", None]


@pytest.mark.parametrize("known", [{"index_revision": 0}, {"age": COMPARABLE_AGE}], ids=str)
def test_what_was_taken_by_other_knowledge_is_not_compared(
    reports: DecisionReports, db: Database, world: World, index: Index, known: dict[str, Any]
) -> None:
    assert index.wait_for(world.update_agent(routing=Jsonb({"shadow": {"scoring": "SRS"}})), 20)
    decided_time = datetime.now(UTC) - known.get("age", timedelta(0))
    told = asked(new_id(decided_time))._replace(index_revision=known.get("index_revision", 7))
    assert reports.take(AGENT, [told]) == 1
    assert shadows(db) == [None]


def test_without_the_database_nothing_is_accepted() -> None:
    away = Database("postgresql://nobody@127.0.0.1:1/nothing", app_connections=1, system_connections=1)
    away.open()
    found = DecisionReports(away, Index())
    try:
        with pytest.raises(DatabaseUnavailable):
            found.take(AGENT, [decision()])
    finally:
        found.stop()
        away.close()
