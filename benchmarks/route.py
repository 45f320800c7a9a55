"""Route for one caller on loopback, beside the same call to an empty handler."""

from __future__ import annotations

import subprocess
import sys
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

from benchmarks.environment import development
from benchmarks.rows import Row, percentile
from imrs_client import ImrsClient
from imrs_client.v1 import RouteRequest

if TYPE_CHECKING:
    from collections.abc import Iterator

ROUNDS = 5
CALLS = 600
REQUEST = RouteRequest(message="Write a Python function that parses a date", required_capabilities=["text"])


def measure() -> list[Row]:
    """Latency in ms, rounds of both taking turns so that both see the same machine."""
    routed: list[float] = []
    empty: list[float] = []
    with (
        development() as env,
        _empty_server() as port,
        ImrsClient(env["IMRS_GRPC_ADDR"], token=env["IMRS_TOKEN_AGENT"]) as client,
        ImrsClient(f"127.0.0.1:{port}", token="none") as beside,
    ):
        for each in (client, beside):
            _round(each, CALLS)
        for _ in range(ROUNDS):
            routed += _round(client, CALLS)
            empty += _round(beside, CALLS)
    return [
        Row(
            name=f"route_one_caller_p{percent}_ms",
            value=percentile(routed, percent),
            unit="ms",
            baseline=percentile(empty, percent),
            ratio=percentile(empty, percent) / percentile(routed, percent),
            beside="an empty handler, one caller on loopback through the stub",
        )
        for percent in (50, 95, 99)
    ]


def _round(client: ImrsClient, calls: int) -> list[float]:
    """Latencies in ms. A call that fails raises, so every figure is of a good answer."""
    taken = []
    for _ in range(calls):
        start = time.perf_counter()
        decision = client.route.Route(REQUEST)
        taken.append((time.perf_counter() - start) * 1000)
        assert decision.decision_id
    return taken


@contextmanager
def _empty_server() -> Iterator[int]:
    command = [sys.executable, "-m", "benchmarks.empty_server"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        yield int(process.stdout.readline())
        process.communicate()
