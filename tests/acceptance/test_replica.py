"""A replica answers what Route answers, on a whole server, from a world with a bit of everything."""

from __future__ import annotations

from contextlib import suppress
from datetime import UTC
from random import Random
from typing import TYPE_CHECKING, Any

import psycopg
import pytest
from psycopg.rows import dict_row

from imrs_client import FeedbackSpool, ImrsClient, ImrsError, Replica, from_item_error
from imrs_client import v1 as pb
from tests.support.fleet import AGENTS, Fleet
from tests.support.waiting import eventually

if TYPE_CHECKING:
    from tests.support.service import Service

REQUESTS = 500


@pytest.fixture(scope="module")
def fleet(shared_service: Service) -> Fleet:
    found = Fleet(shared_service, Random(5))
    shared_service.learned()
    return found


def refusal(error: ImrsError) -> Any:
    return error.code, error.reason, error.metadata


def told(decision: pb.Decision) -> Any:
    """What an answer says, but for its id and time."""
    if decision.HasField("error"):
        return refusal(from_item_error(decision.error))
    copy = pb.Decision()
    copy.CopyFrom(decision)
    copy.ClearField("decision_id")
    copy.ClearField("create_time")
    return copy


def answer(replica: Replica, request: pb.RouteRequest) -> Any:
    try:
        return told(replica.route(request).to_proto())
    except ImrsError as error:
        return refusal(error)


def at_rest(fleet: Fleet, replica: Replica) -> int:
    """The replica's revision, when all that was asked before is counted and it knows of that."""
    fleet.service.learned()
    assert replica.wait_for_revision(fleet.service.app.index.revision, 20)
    return replica.status.revision


def compare(fleet: Fleet, replica: Replica, client: ImrsClient, requests: list[pb.RouteRequest]) -> list[Any]:
    """Both answer all; what they say once both do so by the same revision throughout."""
    for _ in range(20):
        before = at_rest(fleet, replica)
        mine = [answer(replica, each) for each in requests]
        batch = client.route.BatchRoute(pb.BatchRouteRequest(requests=requests))
        theirs = [told(each) for each in batch.decisions]
        revisions = {each.index_revision for each in theirs if isinstance(each, pb.Decision)}
        if revisions == {before} and replica.status.revision == before:
            assert mine == theirs
            return mine
        # A slow machine: the decisions were counted before the last word.
    raise AssertionError("the revision does not come to rest")


def test_equal_answers_at_equal_revision(fleet: Fleet) -> None:
    reasons, refused = set(), 0
    for agent_id in AGENTS:
        client = fleet.service.agent(agent_id)
        with Replica(client, report=False) as replica:
            replica.wait_until_ready(20)
            found = compare(fleet, replica, client, [fleet.request() for _ in range(REQUESTS)])
        decisions = [each for each in found if isinstance(each, pb.Decision)]
        reasons |= {each.reason for each in decisions}
        refused += len(found) - len(decisions)
    # The test would say little were all requests alike.
    assert reasons >= {pb.Decision.SCORE, pb.Decision.AFFINITY, pb.Decision.PREFERENCE, pb.Decision.EXPLORE}
    assert refused > 100


def test_what_is_configured_arrives_at_once(fleet: Fleet) -> None:
    admin, client = fleet.tenant.admin, fleet.service.agent("plain")
    with Replica(client, report=False) as replica:
        replica.wait_until_ready(20)
        other = replica.route(task_type="code").fallbacks[0].model_id
        admin.SetModelOverride(pb.SetModelOverrideRequest(agent_id="plain", model_id=other))
        eventually(lambda: chosen(replica) == (other, pb.Decision.OVERRIDE))
        assert replica.wait_for_revision(fleet.tenant.last_revision, 20)
        admin.ClearModelOverride(pb.ClearModelOverrideRequest(agent_id="plain"))
        eventually(lambda: chosen(replica)[1] == pb.Decision.SCORE)
        # Which model that is may have changed meanwhile: evidence of the requests before is still counted.
        compare(fleet, replica, client, [pb.RouteRequest(task_type="code", seed=1)])
        admin.DeleteAgent(pb.DeleteAgentRequest(agent_id="plain"))
        eventually(lambda: isinstance(answer(replica, pb.RouteRequest()), tuple))
        assert answer(replica, pb.RouteRequest())[1] == "AGENT_NOT_FOUND"
        admin.UndeleteAgent(pb.UndeleteAgentRequest(agent_id="plain"))
        eventually(lambda: isinstance(answer(replica, pb.RouteRequest(task_type="code")), pb.Decision))


def chosen(replica: Replica) -> tuple[str, int]:
    """The model, and why."""
    decision = replica.route(task_type="code")
    return decision.selected.model_id, decision.reason


def test_ratings_arrive(fleet: Fleet) -> None:
    agent = fleet.service.agent("srs")
    with Replica(agent, report=False) as replica:
        replica.wait_until_ready(20)
        first = replica.route(task_type="new")
        for _ in range(5):
            called = agent.record(model_id=first.selected.model_id, task_type="new")
            agent.rate(called.message_id, 0.0)
        eventually(lambda: replica.route(task_type="new").selected.model_id != first.selected.model_id)


def test_reported_decisions_are_listed_once_and_votes_on_them_count(fleet: Fleet) -> None:
    tenant, agent = fleet.tenant, fleet.service.agent("lucky")

    def listed() -> dict[str, pb.Decision]:
        request = pb.ListDecisionsRequest(agent_id="lucky", page_size=1000)
        found = list(tenant.paginate(tenant.route.ListDecisions, request))
        assert len(found) == len({each.decision_id for each in found})
        return {each.decision_id: each for each in found if each.task.task_type == "reported"}

    def counted_votes() -> float:
        request = pb.ListPerformanceRequest(agent_id="lucky", task_type="reported")
        return sum(each.rating_count for each in tenant.feedback.ListPerformance(request).performance)

    with Replica(agent) as replica, FeedbackSpool(agent) as spool:
        replica.wait_until_ready(20)
        made = [replica.route(task_type="reported", request_id=f"r{number}") for number in range(60)]
        for each in made:
            # Some arrive before their decisions do.
            assert spool.rate(each.decision_id, 1.0)
        assert replica.flush(60) == 0
        recorded = agent.record(decision_id=made[0].decision_id, latency_ms=5)
        assert recorded.model_id == made[0].selected.model_id
        assert spool.flush(60) == 0
        assert (replica.status.reported, spool.status.delivered) == (60, 60)
    found = listed()
    assert set(found) == {each.decision_id for each in made}
    for each in made:
        kept = found[each.decision_id]
        assert (kept.selected.model_id, kept.reason, kept.request_id) == (
            each.selected.model_id,
            each.reason,
            each.request_id,
        )
        assert kept.create_time.ToDatetime(UTC) == each.create_time
        assert (kept.index_revision, kept.candidates_eligible) == (
            each.index_revision,
            each.candidates_eligible,
        )
        assert kept.propensity == pytest.approx(each.propensity)
    eventually(lambda: counted_votes() == 60)
    again = pb.RecordDecisionsRequest(decisions=[each.to_report() for each in made])
    assert agent.route.RecordDecisions(again).accepted_count == 60
    assert set(listed()) == set(found)
    assert len({each.reason for each in made}) == 2


@pytest.mark.parametrize("agent_id", ["lucky", "writer", "plain"])
def test_what_a_replica_was_asked_is_kept_as_of_the_servers_own(fleet: Fleet, agent_id: str) -> None:
    """So it can be taken again: both sides' rows of the log are compared, and replayed."""
    client, asked = fleet.service.agent(agent_id), [fleet.request() for _ in range(100)]
    with Replica(client) as replica:
        replica.wait_until_ready(20)
        at_rest(fleet, replica)
        for number, request in enumerate(asked):
            request.request_id = f"{agent_id} {number}"
            # What one refuses, both do.
            with suppress(ImrsError):
                replica.route(request)
                client.route.Route(request)
        assert replica.flush(60) == 0
        reported = len({each["request_id"] for each in kept(fleet, agent_id)})
    assert reported > 20
    eventually(lambda: len(kept(fleet, agent_id)) == 2 * reported)
    pairs = list(by_request(kept(fleet, agent_id)).values())
    assert len(pairs) == reported
    for mine, theirs in pairs:
        drawn = None not in {mine["propensity"], theirs["propensity"]}
        assert asked_of(mine, drawn=drawn) == asked_of(theirs, drawn=drawn)
    chances = [chances_of(each) for pair in pairs for each in pair if each["propensity"] is not None]
    assert bool(chances) == (agent_id == "lucky")
    assert all(sum(each.values()) == pytest.approx(1) for each in chances)
    replay = pb.ReplayDecisionsRequest(agent_id=agent_id)
    assert fleet.tenant.route.ReplayDecisions(replay).skipped_count == 0


def kept(fleet: Fleet, agent_id: str) -> list[dict[str, Any]]:
    """The rows of the log about decisions of named requests."""
    dsn = fleet.service.settings.database_url.get_secret_value()
    with psycopg.connect(dsn, row_factory=dict_row) as connection:
        return connection.execute(
            "select * from decisions where agent_id = %s and request_id like %s", [agent_id, f"{agent_id} %"]
        ).fetchall()


def by_request(rows: list[dict[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    found: dict[str, list[dict[str, Any]]] = {}
    for each in rows:
        found.setdefault(each["request_id"], []).append(each)
    return found


def asked_of(row: dict[str, Any], *, drawn: bool) -> Any:
    detail = {name: value for name, value in row["detail"].items() if name != "propensities"}
    if not drawn:
        # Where nothing was drawn, the server also keeps what it would have drawn from.
        detail.get("query", {}).pop("chance", None)
    return row["task_type"], row["conversation_id"], detail


def chances_of(row: dict[str, Any]) -> dict[str, float]:
    found: dict[str, float] = row["detail"]["propensities"]
    assert found[row["model_id"]] == row["propensity"]
    return found
