"""The same decision by a call through the stub, and by a replica in the client."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from benchmarks.rows import Row, faster
from benchmarks.served import served
from benchmarks.world import Agent
from imrs_client import ImrsClient
from imrs_client.replica import Replica

if TYPE_CHECKING:
    from collections.abc import Callable

    from imrs_client.v1 import RouteRequest

ROUNDS = 7
CALLS = 400
# Fewer than what may wait to be reported.
DECISIONS = 5000
SOME = 60
AGENT = Agent(3)
PATIENCE_SECONDS = 60


def measure() -> list[Row]:
    """Microseconds for one caller; what the replica decided is reported between the rounds."""
    requests = [AGENT.request(number) for number in range(SOME)]
    by_call, by_replica, by_task = [], [], []
    with (
        served(1) as address,
        ImrsClient(address, token=AGENT.token) as client,
        Replica(client) as replica,
    ):
        replica.wait_until_ready(PATIENCE_SECONDS)
        for _ in range(1 + ROUNDS):
            by_call.append(_us(client.route.Route, requests, CALLS))
            by_replica.append(_us(replica.route, requests, DECISIONS))
            _report(replica)
            by_task.append(
                _us(lambda request: replica.route(task_type=request.task_type), requests, DECISIONS)
            )
            _report(replica)
    beside = "a call through the stub to a server on the same machine"
    return [
        faster("replica", by_replica[1:], by_call[1:], "us", beside),
        faster("replica_task", by_task[1:], by_call[1:], "us", f"{beside}; the request is a task type alone"),
    ]


def _us(route: Callable[[RouteRequest], Any], requests: list[RouteRequest], calls: int) -> float:
    start = time.perf_counter()
    for number in range(calls):
        assert route(requests[number % SOME]).selected.model_id
    return (time.perf_counter() - start) / calls * 1e6


def _report(replica: Replica) -> None:
    left = replica.flush(PATIENCE_SECONDS)
    status = replica.status
    assert (left, status.stale, status.dropped, status.refused) == (0, False, 0, 0), status
