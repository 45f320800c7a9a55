"""Route from all workers of ``imrs serve``: what a second one adds, and what callers of the library wait."""

from __future__ import annotations

import json
import subprocess
import sys

from benchmarks.load import CHECKS, Calls, cores, generator, rate
from benchmarks.rows import Row, more, percentile
from benchmarks.served import served
from benchmarks.world import Agent, logged_decisions, world

ROUNDS = 5
COUNT = 8000
CONNECTIONS = 64
CALLERS = 32
PROCESSES = 2
CALLS_EACH = 400
AGENT = Agent(2)
ROUTE = "/imrs.v1.RouteService/Route"


def measure() -> list[Row]:
    """Calls a second by rounds that take turns; latency in ms."""
    with served(1) as one, served(2) as two:
        rates: dict[str, list[float]] = {one: [], two: []}
        before = logged_decisions(world())
        for address in (one, two) * ROUNDS:
            rates[address].append(rate(_calls(address), cores(0, 1)))
        usual = _latencies(two, "zipf")
        uneven = _latencies(two, "even")
    logged = logged_decisions(world()) - before
    made = 2 * ROUNDS * (COUNT + CHECKS) + 2 * CALLERS * CALLS_EACH
    assert logged == made, f"{made} calls, but {logged} decisions in the log"
    beside = f"{CALLERS} callers through the stub, 10,000 agents, 50,000 models, 2 workers"
    return [
        more(
            "workers", rates[two], rates[one], "calls/s", f"1 worker; {generator()} runs on the same 2 cores"
        ),
        Row(name="route_p95_ms", value=percentile(usual, 95), unit="ms", beside=beside),
        Row(name="route_p50_ms", value=percentile(usual, 50), unit="ms", beside=beside),
        Row(
            name="route_even_p95_ms",
            value=percentile(uneven, 95),
            unit="ms",
            beside="the same, but every agent as often as the others, so that most tables are made",
        ),
    ]


def _calls(address: str) -> Calls:
    return Calls(
        address=address,
        method=ROUTE,
        request=AGENT.request(1).SerializeToString(),
        token=AGENT.token,
        count=COUNT,
        connections=CONNECTIONS,
        streams=1,
    )


def _latencies(address: str, spread: str) -> list[float]:
    command = [sys.executable, "-m", "benchmarks.stub_callers", address, str(CALLERS // PROCESSES)]
    command += [str(CALLS_EACH), spread]
    running = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(PROCESSES)]
    answers = [process.communicate()[0] for process in running]
    assert not any(process.returncode for process in running), "calls failed"
    return [ms for answer in answers for ms in json.loads(answer)]
