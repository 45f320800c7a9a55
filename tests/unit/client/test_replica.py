"""The replica against a played service, which streams what it is told to stream."""

from __future__ import annotations

import math
import time
from collections import defaultdict, deque
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from queue import Queue
from threading import Thread
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import grpc
import pytest

from imrs_client import (
    FailedPrecondition,
    ImrsClient,
    InvalidArgument,
    NoSnapshot,
    NotFound,
    OnlyOnServer,
    Replica,
    Unavailable,
    v1,
)
from imrs_client.ids import time_of
from imrs_client.ranked import Policy, RemovedBy
from imrs_client.reporting import Reports
from imrs_server.transport.convert import snapshots
from imrs_server.transport.convert.snapshots import Content, Head
from tests.support.tables import candidate, table
from tests.support.waiting import eventually
from tests.unit.client.conftest import status
from tests.unit.transport.test_snapshots import AGENT, DELTA, FULL, HEARTBEAT, content

if TYPE_CHECKING:
    from collections.abc import Iterator

    from imrs_client.local_decision import LocalDecision

GOOD, FAIR = candidate("p/good", 0.9, capabilities=frozenset({"text"})), candidate("q/fair", 0.5)
BASE = content({"*": table(GOOD, FAIR)})
TURNED = content({"*": table(replace(FAIR, experience_term=0.95), GOOD)})
END = None


@dataclass
class Played(v1.RouteServiceServicer):
    """What is said goes to the newest stream, or the first that will be; END ends it, a status breaks it."""

    address: str = ""
    queues: dict[int, Queue[Any]] = field(default_factory=lambda: defaultdict(Queue))
    watched: list[v1.WatchAgentRequest] = field(default_factory=list)
    reported: list[v1.Decision] = field(default_factory=list)
    batches: list[int] = field(default_factory=list)
    contexts: dict[str, v1.DecisionContext | None] = field(default_factory=dict)
    context_counts: list[int] = field(default_factory=list)
    failures: deque[Any] = field(default_factory=deque)
    lose_answers: int = 0
    poison: str = ""

    @property
    def said(self) -> Queue[Any]:
        return self.queues[max(1, len(self.watched))]

    def say(self, head: Head, pieces: Any = ()) -> None:
        for each in snapshots.chunks(head, pieces):
            self.said.put(v1.AgentSnapshot.FromString(each))

    def say_whole(self, told: Content = BASE, revision: int = 5, **changes: Any) -> None:
        head = Head(kind=FULL, revision=revision, fingerprint=told.fingerprint, **changes)
        self.say(head, told.whole)

    def WatchAgent(
        self, request: v1.WatchAgentRequest, context: grpc.ServicerContext
    ) -> Iterator[v1.AgentSnapshot]:
        self.watched.append(request)
        mine = self.said
        while True:
            found = mine.get()
            if found is END:
                return
            if not isinstance(found, v1.AgentSnapshot):
                context.abort_with_status(found)
            yield found

    def RecordDecisions(
        self, request: v1.RecordDecisionsRequest, context: grpc.ServicerContext
    ) -> v1.RecordDecisionsResponse:
        self.batches.append(len(request.decisions))
        self.context_counts.append(len(request.contexts))
        for decision, number in zip(request.decisions, request.context_numbers, strict=True):
            self.contexts[decision.decision_id] = request.contexts[number - 1] if number else None
        if self.failures:
            context.abort_with_status(self.failures.popleft())
        if self.poison in {each.decision_id for each in request.decisions}:
            context.abort_with_status(status(grpc.StatusCode.INTERNAL, "INTERNAL"))
        known = {each.decision_id for each in self.reported}
        self.reported += [each for each in request.decisions if each.decision_id not in known]
        if self.lose_answers:
            self.lose_answers -= 1
            context.abort_with_status(status(grpc.StatusCode.UNAVAILABLE, "DATABASE_UNAVAILABLE"))
        return v1.RecordDecisionsResponse(accepted_count=len(request.decisions))


@pytest.fixture
def played() -> Iterator[Played]:
    service = Played()
    server = grpc.server(ThreadPoolExecutor(8), options=[("grpc.so_reuseport", 0)])
    v1.add_RouteServiceServicer_to_server(service, server)
    service.address = f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
    server.start()
    yield service
    for each in service.queues.values():
        each.put(END)
    server.stop(None).wait()


@pytest.fixture
def client(played: Played) -> Iterator[ImrsClient]:
    options = (("grpc.enable_retries", 0), ("grpc.max_reconnect_backoff_ms", 200))
    with ImrsClient(played.address, token="t", options=options) as opened:
        yield opened


@pytest.fixture
def replica(played: Played, client: ImrsClient) -> Iterator[Replica]:
    """One that has heard of BASE at revision 5."""
    played.say_whole()
    with Replica(client, report=False) as found:
        found.wait_until_ready()
        yield found


def test_it_answers_as_route_does_and_says_where_from(replica: Replica) -> None:
    made = replica.route(task_type="code", request_id="r")
    assert (made.selected.model_id, [each.model_id for each in made.fallbacks]) == ("p/good", ["q/fair"])
    assert (made.reason, made.candidates_total, made.candidates_eligible) == (v1.Decision.SCORE, 2, 2)
    assert (made.tenant_id, made.agent_id, made.request_id) == (str(AGENT.tenant_id), "bot", "r")
    assert (made.index_revision, made.stale, made.propensity) == (5, False, None)
    assert 0 <= made.age_seconds < 5
    assert time_of(made.decision_id) == made.create_time
    assert made.task == v1.TaskDetection(
        task_type="code", confidence=v1.TaskDetection.HIGH, source=v1.TaskDetection.REQUEST
    )
    proto = made.to_proto()
    assert (proto.decision_id, proto.selected, proto.index_revision) == (made.decision_id, made.selected, 5)
    assert not proto.HasField("propensity")
    assert "p/good SCORE revision=5" in repr(made)


def test_ids_are_of_one_decision_each(replica: Replica) -> None:
    assert len({replica.route(task_type="code").decision_id for _ in range(100)}) == 100


def test_a_request_or_its_fields_are_the_same(replica: Replica) -> None:
    request = v1.RouteRequest(required_capabilities=["text"], max_fallbacks=0, request_id="r")
    for made in (
        replica.route(request),
        replica.route(request),
        replica.route(required_capabilities=["text"], max_fallbacks=0, request_id="r"),
    ):
        assert (made.selected.model_id, len(made.fallbacks), made.request_id) == ("p/good", 0, "r")
    assert replica.route(message="review this python script").task.task_type == "code"
    warm = v1.Parameters(temperature=0.5)
    assert replica.route(parameters=warm).selected.parameters.temperature == 0.5
    assert not replica.route().selected.parameters.HasField("temperature")


def test_what_no_model_passes_is_refused_with_the_filters_that_removed_them(replica: Replica) -> None:
    with pytest.raises(FailedPrecondition) as raised:
        replica.route(required_capabilities=["vision"])
    assert raised.value.reason == "NO_ELIGIBLE_MODEL"
    assert raised.value.metadata == {"agent_id": "bot", str(RemovedBy.CAPABILITY): "2"}


def test_what_the_server_would_refuse_is_refused(replica: Replica) -> None:
    def fields(request: v1.RouteRequest | None = None, **given: Any) -> set[str]:
        with pytest.raises(InvalidArgument) as raised:
            replica.route(request, **given)
        assert raised.value.reason == "INVALID_REQUEST"
        return {each.field for each in raised.value.violations}

    assert fields(agent_id="other") == {"agent_id"}
    assert fields(tenant_id="22222222-2222-7222-8222-222222222222") == {"tenant_id"}
    assert fields(task_type="No", min_context_length=-1, max_fallbacks=101, max_latency_ms=0) == {
        "task_type",
        "min_context_length",
        "max_fallbacks",
        "max_latency_ms",
    }
    assert fields(v1.RouteRequest(model_type=77)) == {"model_type"}  # type: ignore[arg-type]  # unknown
    with pytest.raises(Unavailable) as raised:
        replica.route(min_revision=6)
    assert raised.value.reason == "REVISION_NOT_REACHED"
    assert replica.route(min_revision=5, agent_id="bot").index_revision == 5


def test_changes_arrive(played: Played, replica: Replica) -> None:
    assert replica.route(task_type="code").selected.model_id == "p/good"
    played.say(Head(kind=DELTA, revision=7, base_revision=5, fingerprint=b"x"), TURNED.since(BASE))
    assert replica.wait_for_revision(7)
    made = replica.route(task_type="code")
    assert (made.selected.model_id, made.index_revision) == ("q/fair", 7)


def test_half_a_revision_decides_nothing(
    played: Played, replica: Replica, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(snapshots, "CHUNK_BYTES", 1000)
    large = content({"*": table(*[candidate(f"p/m{number}") for number in range(50)])})
    head = Head(kind=FULL, revision=8, fingerprint=large.fingerprint)
    *first, last = [v1.AgentSnapshot.FromString(each) for each in snapshots.chunks(head, large.whole)]
    assert len(first) > 1
    for each in first:
        played.said.put(each)
    played.say(Head(kind=HEARTBEAT, revision=6, base_revision=5))
    assert replica.wait_for_revision(6)
    assert replica.route().candidates_total == 2
    played.said.put(last)
    assert replica.wait_for_revision(8)
    assert replica.route().candidates_total == 50


def test_silence_makes_stale_and_a_heartbeat_fresh(played: Played, client: ImrsClient) -> None:
    played.say_whole()
    with Replica(client, report=False, stale_after_seconds=0.3) as replica:
        replica.wait_until_ready()
        eventually(lambda: replica.route().stale, 5)
        made = replica.route()
        assert made.age_seconds > 0.3
        assert made.selected.model_id == "p/good"
        assert made.to_proto().stale
        played.say(Head(kind=HEARTBEAT, revision=6, base_revision=5, fingerprint=BASE.fingerprint))
        eventually(lambda: not replica.route().stale, 5)
        assert replica.route().index_revision == 6


def test_a_server_that_may_have_missed_changes_says_so(played: Played, replica: Replica) -> None:
    age_seconds = replica.route().age_seconds
    played.say(Head(kind=HEARTBEAT, revision=5, base_revision=5, stale=True, fingerprint=BASE.fingerprint))
    eventually(lambda: replica.route().stale, 5)
    assert replica.status.stale
    # It vouched for nothing, so the age goes on.
    assert replica.route().age_seconds > age_seconds


def test_a_stream_that_broke_goes_on_where_it_was(played: Played, replica: Replica) -> None:
    played.said.put(status(grpc.StatusCode.UNAVAILABLE, "DATABASE_UNAVAILABLE"))
    eventually(lambda: len(played.watched) == 2, 10)
    first, second = played.watched
    assert (first.from_revision, first.from_fingerprint) == (0, b"")
    assert (second.from_revision, second.from_fingerprint) == (5, BASE.fingerprint)
    played.say(Head(kind=DELTA, revision=7, base_revision=5, fingerprint=b"x"), TURNED.since(BASE))
    assert replica.wait_for_revision(7)
    assert str(replica.status.last_error).startswith("DATABASE_UNAVAILABLE")
    assert replica.status.connected


def test_what_does_not_fit_makes_it_ask_for_the_whole(played: Played, replica: Replica) -> None:
    played.say(Head(kind=DELTA, revision=9, base_revision=8, fingerprint=b"x"), TURNED.since(BASE))
    eventually(lambda: len(played.watched) == 2, 10)
    assert played.watched[1].from_revision == 0
    assert replica.route().index_revision == 5
    played.say_whole(TURNED, 9)
    assert replica.wait_for_revision(9)


def test_what_cannot_be_read_makes_it_ask_for_the_whole(played: Played, replica: Replica) -> None:
    broken = v1.AgentSnapshot(
        kind=DELTA,
        revision=6,
        base_revision=5,
        last_chunk=True,
        tables=[v1.SnapshotTable(task_type="*", numbers=[99], priority_terms=[1.0], experience_terms=[1.0])],
    )
    replica.route(task_type="code")
    played.said.put(broken)
    eventually(lambda: len(played.watched) == 2, 10)
    assert played.watched[1].from_revision == 0
    assert replica.route(task_type="code").index_revision == 5
    played.say_whole(TURNED, 9)
    assert replica.wait_for_revision(9)


def test_a_token_that_cannot_be_had_is_asked_for_again(
    played: Played, caplog: pytest.LogCaptureFixture
) -> None:
    failures = [OSError("no token today")] * 3

    def token() -> str:
        if failures:
            raise failures.pop()
        return "t"

    played.say_whole()
    with ImrsClient(played.address, token=token) as client, Replica(client, report=False) as replica:
        replica.wait_until_ready()
        assert str(replica.status.last_error) == "no token today"
    assert [each.message for each in caplog.records] == [
        "agent '' cannot be watched, it is tried again: no token today"
    ]


def test_an_agent_that_is_gone_is_not_found_until_it_is_back(played: Played, replica: Replica) -> None:
    played.said.put(status(grpc.StatusCode.NOT_FOUND, "AGENT_NOT_FOUND", agent_id="bot"))
    eventually(lambda: len(played.watched) == 2, 10)
    with pytest.raises(NotFound) as raised:
        replica.route()
    assert (raised.value.reason, raised.value.metadata) == ("AGENT_NOT_FOUND", {"agent_id": "bot"})
    played.say_whole(TURNED, 9)
    assert replica.wait_for_revision(9)
    assert played.watched[-1].from_revision == 0
    assert replica.route().selected.model_id == "q/fair"


def test_a_task_type_that_is_not_sent_is_the_servers(played: Played, replica: Replica) -> None:
    played.say_whole(content({"*": table(GOOD)}, omitted_task_types=("poetry",)), 6)
    assert replica.wait_for_revision(6)
    with pytest.raises(OnlyOnServer, match=r"client\.choose"):
        replica.route(task_type="poetry")
    assert replica.route(task_type="code").selected.model_id == "p/good"


def test_chance_draws_from_what_the_request_says(played: Played, replica: Replica) -> None:
    policy = Policy(exploration_rate=1.0, cheaper_when_similar=False)
    played.say_whole(content({"*": table(GOOD, replace(FAIR, estimate=0.5), policy=policy)}), 6)
    assert replica.wait_for_revision(6)

    def chosen(**fields: Any) -> set[str]:
        return {replica.route(task_type="code", **fields).selected.model_id for _ in range(60)}

    assert chosen() == {"p/good", "q/fair"}
    assert len(chosen(seed=3)) == len(chosen(request_id="r")) == 1
    assert replica.route().propensity is not None


def test_before_anything_is_known_it_says_what_to_do(client: ImrsClient) -> None:
    replica = Replica(client)
    with pytest.raises(NoSnapshot, match="wait_until_ready"):
        replica.route(task_type="code")
    with pytest.raises(TimeoutError, match="no snapshot"):
        replica.wait_until_ready(0.01)
    assert (replica.status.revision, replica.status.age_seconds, replica.status.stale) == (0, math.inf, True)


def test_before_anything_is_known_the_default_model_answers(played: Played, client: ImrsClient) -> None:
    with Replica(client, "bot", default_model="ollama/llama3/8b") as replica:
        made = replica.route(message="review this python script")
        assert (made.selected.model_id, made.selected.external_id) == ("ollama/llama3/8b", "llama3/8b")
        assert (made.reason, made.stale, made.index_revision) == (v1.Decision.DEFAULT, True, 0)
        assert (made.task.task_type, made.age_seconds, list(made.fallbacks)) == ("code", math.inf, [])
        with pytest.raises(NoSnapshot):
            replica.route(excluded_models=["ollama/*"])
        with pytest.raises(Unavailable):
            replica.route(min_revision=1)
        played.say_whole()
        replica.wait_until_ready()
        assert replica.route().selected.model_id == "p/good"
    with pytest.raises(ValueError, match="provider_id/external_id"):
        Replica(client, default_model="llama3")


def decided(replica: Replica, count: int) -> list[LocalDecision]:
    return [replica.route(task_type="code") for _ in range(count)]


def test_decisions_are_reported_once_even_where_an_answer_is_lost(played: Played, client: ImrsClient) -> None:
    played.say_whole()
    played.lose_answers = 1
    with Replica(client) as replica:
        replica.wait_until_ready()
        made = decided(replica, 1500)
        eventually(lambda: replica.status.reported == 1500, 10)
        assert (replica.status.waiting, replica.status.dropped, replica.status.refused) == (0, 0, 0)
    assert [each.decision_id for each in played.reported] == [each.decision_id for each in made]
    assert max(played.batches) <= 1000
    first = played.reported[0]
    assert (first.selected.model_id, first.task.task_type, first.index_revision) == ("p/good", "code", 5)


def test_what_was_asked_is_reported_once_for_all_that_asked_it(played: Played, client: ImrsClient) -> None:
    played.say_whole()
    with Replica(client) as replica:
        replica.wait_until_ready()
        plain = [replica.route(task_type="code", request_id=f"r{number}") for number in range(50)]
        limited = [
            replica.route(message=f"secret {number}", required_capabilities=["text"], agent_class="gold")
            for number in range(50)
        ]
        long = replica.route(excluded_models=[f"x/{number}" for number in range(201)])
        assert replica.flush() == 0
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
        replica.wait_until_ready()
        made = [replica.route(task_type="code", seed=number) for number in range(2)]
        assert replica.flush() == 0
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
    replica.wait_until_ready()
    decided(replica, 2500)
    assert replica.close() == 0
    assert len(played.reported) == 2500


def test_a_flush_reports_what_was_decided_before_it(played: Played, client: ImrsClient) -> None:
    played.say_whole()
    with Replica(client) as replica:
        replica.wait_until_ready()
        for _ in range(20):
            made = replica.route(task_type="code")
            assert replica.flush() == 0
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
    replica.wait_until_ready()
    decided(replica, 3)
    start = time.monotonic()
    assert replica.close(timeout_seconds=0.3) == 3
    assert time.monotonic() - start < 15


def test_too_many_decisions_are_dropped_and_counted(played: Played, client: ImrsClient) -> None:
    played.say_whole()
    played.failures += [status(grpc.StatusCode.UNAVAILABLE, "DATABASE_UNAVAILABLE")] * 100
    with Replica(client, report_capacity=10) as replica:
        replica.wait_until_ready()
        decided(replica, 5)
        eventually(lambda: len(played.batches) > 0, 10)
        decided(replica, 10)
        assert (replica.status.waiting, replica.status.dropped) == (10, 5)
        played.failures.clear()
        eventually(lambda: replica.status.waiting == 0, 10)
    assert len(played.reported) == 10


def test_refused_decisions_are_counted_and_not_sent_again(played: Played, client: ImrsClient) -> None:
    played.say_whole()
    played.failures.append(status(grpc.StatusCode.PERMISSION_DENIED, "ROLE_REQUIRED"))
    with Replica(client) as replica:
        replica.wait_until_ready()
        decided(replica, 5)
        eventually(lambda: replica.status.refused == 5, 10)
        decided(replica, 2)
        eventually(lambda: replica.status.reported == 2, 10)
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
        replica.wait_until_ready()
        replica.route(request_id=uuid4())  # type: ignore[arg-type]
        replica.route(request_id="\ud800")
        made = replica.route(request_id="r-1")
        eventually(lambda: replica.status.reported == 1, 10)
        assert (replica.status.refused, replica.status.waiting) == (2, 0)
        replica.route(request_id=uuid4())  # type: ignore[arg-type]
        assert replica.flush() == 0
    assert [each.decision_id for each in played.reported] == [made.decision_id]


def test_threads_share_one_replica_while_it_changes(played: Played, replica: Replica) -> None:
    wrong: list[LocalDecision] = []
    answers = {5: "p/good", 6: "q/fair", 7: "p/good"}

    def work() -> None:
        while (made := replica.route(task_type="code")).index_revision < 7:
            if made.selected.model_id != answers[made.index_revision]:
                wrong.append(made)

    threads = [Thread(target=work) for _ in range(4)]
    for each in threads:
        each.start()
    played.say(Head(kind=DELTA, revision=6, base_revision=5, fingerprint=b"x"), TURNED.since(BASE))
    assert replica.wait_for_revision(6)
    played.say(Head(kind=DELTA, revision=7, base_revision=6, fingerprint=b"y"), BASE.since(TURNED))
    for each in threads:
        each.join()
    assert not wrong
