"""A replica's decisions are reported, each once."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING
from uuid import uuid4

import grpc

from imrs_client import (
    ImrsClient,
    Replica,
    v1,
)
from imrs_client.ranked import Policy
from imrs_client.reporting import Reports
from tests.support.tables import table
from tests.support.waiting import eventually
from tests.unit.client.conftest import status
from tests.unit.client.replica.conftest import FAIR, GOOD, Played
from tests.unit.transport.test_snapshots import content

if TYPE_CHECKING:
    from imrs_client.local_decision import LocalDecision


def decided(replica: Replica, count: int) -> list[LocalDecision]:
    return [replica.route(task_type="code") for _ in range(count)]


def test_decisions_are_reported_once_even_where_an_answer_is_lost(played: Played, client: ImrsClient) -> None:
    played.say_whole()
    played.lose_answers = 1
    with Replica(client) as replica:
        replica.wait_until_ready(20)
        made = decided(replica, 1500)
        eventually(lambda: replica.status.reported == 1500)
        # What is reported in this moment counts as waiting for a moment more.
        eventually(lambda: replica.status.waiting == 0)
        assert (replica.status.dropped, replica.status.refused) == (0, 0)
    assert [each.decision_id for each in played.reported] == [each.decision_id for each in made]
    assert max(played.batches) <= 1000
    first = played.reported[0]
    assert (first.selected.model_id, first.task.task_type, first.index_revision) == ("p/good", "code", 5)


def test_what_was_asked_is_reported_once_for_all_that_asked_it(played: Played, client: ImrsClient) -> None:
    played.say_whole()
    with Replica(client) as replica:
        replica.wait_until_ready(20)
        plain = [replica.route(task_type="code", request_id=f"r{number}") for number in range(50)]
        limited = [
            replica.route(message=f"secret {number}", required_capabilities=["text"], agent_class="gold")
            for number in range(50)
        ]
        long = replica.route(excluded_models=[f"x/{number}" for number in range(201)])
        assert replica.flush(20) == 0
    assert sum(played.context_counts) <= 2 * len(played.batches)
    for each in plain:
        assert played.contexts[each.decision_id] == v1.DecisionContext(request=v1.RouteRequest())
    for each in limited:
        request = v1.RouteRequest(required_capabilities=["text"], agent_class="gold")
        assert played.contexts[each.decision_id] == v1.DecisionContext(request=request)
    assert played.contexts[long.decision_id] is None


def test_what_chance_could_have_led_to_is_reported(played: Played, client: ImrsClient) -> None:
    policy = Policy(exploration_rate=0.5, cheaper_when_similar=False)
    played.say_whole(content({"*": table(GOOD, replace(FAIR, estimate=0.5), policy=policy)}))
    with Replica(client) as replica:
        replica.wait_until_ready(20)
        made = [replica.route(task_type="code", seed=number) for number in range(2)]
        assert replica.flush(20) == 0
    for number, each in enumerate(made):
        context = played.contexts[each.decision_id]
        assert context is not None
        assert context.request.seed == number
        assert dict(context.propensities) == {"p/good": 0.75, "q/fair": 0.25}
        assert each.propensity == context.propensities[each.selected.model_id]


def test_what_is_not_reported_yet_is_reported_at_the_end(played: Played, client: ImrsClient) -> None:
    played.say_whole()
    replica = Replica(client)
    replica.start()
    replica.wait_until_ready(20)
    decided(replica, 2500)
    assert replica.close(20) == 0
    assert len(played.reported) == 2500


def test_a_flush_reports_what_was_decided_before_it(played: Played, client: ImrsClient) -> None:
    played.say_whole()
    with Replica(client) as replica:
        replica.wait_until_ready(20)
        for _ in range(20):
            made = replica.route(task_type="code")
            assert replica.flush(20) == 0
            assert made.decision_id in {each.decision_id for each in played.reported}
        played.failures += [status(grpc.StatusCode.UNAVAILABLE, "DATABASE_UNAVAILABLE")] * 100
        decided(replica, 3)
        assert replica.flush(timeout_seconds=0.1) == 3
        played.failures.clear()


def test_the_end_does_not_wait_for_a_service_that_is_away(played: Played, client: ImrsClient) -> None:
    played.say_whole()
    played.failures += [status(grpc.StatusCode.UNAVAILABLE, "DATABASE_UNAVAILABLE")] * 100
    replica = Replica(client)
    replica.start()
    replica.wait_until_ready(20)
    decided(replica, 3)
    start = time.monotonic()
    assert replica.close(timeout_seconds=0.3) == 3
    assert time.monotonic() - start < 15


def test_too_many_decisions_are_dropped_and_counted(played: Played, client: ImrsClient) -> None:
    played.say_whole()
    played.failures += [status(grpc.StatusCode.UNAVAILABLE, "DATABASE_UNAVAILABLE")] * 100
    with Replica(client, report_capacity=10) as replica:
        replica.wait_until_ready(20)
        decided(replica, 5)
        eventually(lambda: len(played.batches) > 0)
        decided(replica, 10)
        assert (replica.status.waiting, replica.status.dropped) == (10, 5)
        played.failures.clear()
        eventually(lambda: replica.status.waiting == 0)
    assert len(played.reported) == 10


def test_refused_decisions_are_counted_and_not_sent_again(played: Played, client: ImrsClient) -> None:
    played.say_whole()
    # More than one: the five may go in two batches.
    played.failures += [status(grpc.StatusCode.PERMISSION_DENIED, "ROLE_REQUIRED")] * 5
    with Replica(client) as replica:
        replica.wait_until_ready(20)
        decided(replica, 5)
        eventually(lambda: replica.status.refused == 5)
        played.failures.clear()
        decided(replica, 2)
        eventually(lambda: replica.status.reported == 2)
    assert len(played.reported) == 2


def test_one_that_the_service_fails_at_takes_no_other_along(
    played: Played, client: ImrsClient, replica: Replica
) -> None:
    reports = Reports(client, capacity=100, tries=2)
    made = [replica.route(task_type="code") for _ in range(20)]
    played.poison = made[9].decision_id
    for each in made:
        reports.offer(each)
    assert reports.finish(time.monotonic() + 60) == 0
    assert (reports.accepted, reports.refused, reports.dropped) == (19, 1, 0)
    told = [each.decision_id for each in played.reported]
    assert told == [each.decision_id for each in made if each is not made[9]]
    assert played.batches[:2] == [20, 20]


def test_a_fault_of_a_moment_costs_no_decision(played: Played, client: ImrsClient, replica: Replica) -> None:
    reports = Reports(client, capacity=100, tries=3)
    played.failures += [status(grpc.StatusCode.INTERNAL, "INTERNAL")] * 2
    for _ in range(5):
        reports.offer(replica.route(task_type="code"))
    assert reports.finish(time.monotonic() + 60) == 0
    assert (reports.accepted, reports.refused, played.batches) == (5, 0, [5] * 3)


def test_what_cannot_be_reported_keeps_nothing_else_from_it(played: Played, client: ImrsClient) -> None:
    played.say_whole()
    with Replica(client) as replica:
        replica.wait_until_ready(20)
        replica.route(request_id=uuid4())  # type: ignore[arg-type]
        replica.route(request_id="\ud800")
        made = replica.route(request_id="r-1")
        eventually(lambda: replica.status.reported == 1)
        assert replica.status.refused == 2
        eventually(lambda: replica.status.waiting == 0)
        replica.route(request_id=uuid4())  # type: ignore[arg-type]
        assert replica.flush(20) == 0
    assert [each.decision_id for each in played.reported] == [made.decision_id]
