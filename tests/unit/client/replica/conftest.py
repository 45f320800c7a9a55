"""A played service, which streams what it is told to stream, and a replica of what it says."""

from __future__ import annotations

from collections import defaultdict, deque
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from queue import Queue
from threading import Lock
from typing import TYPE_CHECKING, Any

import grpc
import pytest

from imrs_client import (
    ImrsClient,
    Replica,
    v1,
)
from imrs_server.transport.convert import snapshots
from imrs_server.transport.convert.snapshots import Content, Head
from tests.support.tables import candidate, table
from tests.unit.client.conftest import status
from tests.unit.transport.test_snapshots import FULL, content

if TYPE_CHECKING:
    from collections.abc import Iterator


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
    ended: bool = False
    # Whoever speaks and the stream that is spoken to must not make a queue each.
    choosing: Lock = field(default_factory=Lock)

    @property
    def said(self) -> Queue[Any]:
        with self.choosing:
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
        with self.choosing:
            if self.ended:
                return
            self.watched.append(request)
            mine = self.queues[len(self.watched)]
        while True:
            found = mine.get()
            if found is END:
                return
            if not isinstance(found, v1.AgentSnapshot):
                context.abort_with_status(found)
            yield found

    def end(self) -> None:
        """End all streams, and those that come late."""
        with self.choosing:
            self.ended = True
            for each in self.queues.values():
                each.put(END)

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
    service.end()
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
        found.wait_until_ready(20)
        yield found
