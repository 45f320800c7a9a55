"""A server that tells of agents, at the pace that a test wants."""

from __future__ import annotations

from time import monotonic
from typing import TYPE_CHECKING

import pytest

from imrs_server.transport.paging import Pager
from imrs_server.transport.server import SERVICES, Server
from imrs_server.transport.servicers.route import RouteServicer
from imrs_server.transport.tokens import Verifier
from imrs_server.transport.watch import hub
from imrs_server.transport.watch.hub import Hub, Pace
from imrs_server.use_cases.decisions import Decisions
from imrs_server.use_cases.replay import Replays
from imrs_server.use_cases.reports import DecisionReports
from imrs_server.use_cases.watched import WatchedAgents
from tests.support.completions import without_keys
from tests.support.watching import (
    QUICK,
    TRUST,
    Serving,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from imrs_server.index.warm import Index
    from imrs_server.jobs.decision_log import DecisionLog
    from imrs_server.storage.database import Database
    from imrs_server.use_cases.route import Router


class Clock:
    """Time as those see it who tell of agents: it goes on by itself, and a test may put it forward."""

    def __init__(self) -> None:
        self.ahead_seconds = 0.0

    def __call__(self) -> float:
        return monotonic() + self.ahead_seconds


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """Of the servers that are started after it."""
    found = Clock()
    monkeypatch.setattr(hub, "monotonic", found)
    return found


@pytest.fixture
def serve(
    db: Database, index: Index, router: Router, decision_log: DecisionLog
) -> Iterator[Callable[..., Serving]]:
    """Start a server that goes at a pace."""
    started: list[Serving] = []

    def start(pace: Pace = QUICK) -> Serving:
        verifier = Verifier(TRUST, revoked=index.revoked)
        telling = Hub(index, verifier.bearer, pace)
        servicers: dict[str, object] = {name: base() for name, (base, _) in SERVICES.items()}
        servicers["imrs.v1.RouteService"] = RouteServicer(
            router=router,
            decisions=Decisions(db, decision_log.flush),
            replays=Replays(db, index, decision_log.flush),
            watched=WatchedAgents(index),
            hub=telling,
            reports=DecisionReports(db, index),
            completions=without_keys(db, index, router),
            pager=Pager(b"p" * 32),
        )
        server = Server("127.0.0.1:0", verifier=verifier, servicers=servicers, with_reflection=False)
        telling.start()
        server.start()
        started.append(Serving(telling, server))
        return started[-1]

    yield start
    for each in started:
        each.close()
