"""Route from all workers of ``imrs serve``: what a second one adds, and what callers of the library wait."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path

from benchmarks.cores import cores
from benchmarks.load import CHECKS, BadAnswers, Calls, generator, rate
from benchmarks.rows import Row, more, percentile
from benchmarks.served import served
from benchmarks.world import Agent, logged_decisions, world

ROUNDS = 5
COUNT = 8000
CONNECTIONS = 64
CALLERS = 32
PROCESSES = 2
CALLS_EACH = 400
REST_SECONDS = 120
AT_REST = 0.1
AGENT = Agent(2)
ROUTE = "/imrs.v1.RouteService/Route"


def measure() -> list[Row]:
    """Calls a second by rounds that take turns; latency in ms, of a server that has come to rest after its
    start: what it counts and makes in the background is no part of what a caller waits for.
    """
    with served(2) as both:
        _rest()
        usual = _latencies(both, "zipf")
        _rest()
        uneven = _latencies(both, "even")
    with served(1) as one, served(2) as two:
        rates: dict[str, list[float]] = {one: [], two: []}
        before = logged_decisions(world())
        for address in (one, two) * ROUNDS:
            rates[address].append(rate(_calls(address), cores(0, 1)))
    logged = logged_decisions(world()) - before
    made = 2 * ROUNDS * (COUNT + CHECKS)
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


def _rest() -> None:
    """Wait until nothing but what always runs uses the cores."""
    deadline = time.monotonic() + REST_SECONDS
    while _busy_share() > AT_REST:
        if time.monotonic() > deadline:
            raise BadAnswers(f"the cores were still busy after {REST_SECONDS} s")


def _busy_share() -> float:
    """Of all cores, within a second."""
    idle, total = _ticks()
    time.sleep(1)
    idle_after, total_after = _ticks()
    return 1 - (idle_after - idle) / max(1, total_after - total)


def _ticks() -> tuple[int, int]:
    """Idle ones of all cores, and all, as proc_stat(5) counts them."""
    first = Path("/proc/stat").read_text(encoding="ascii").partition("\n")[0]
    counts = [int(each) for each in first.split()[1:9]]
    return counts[3] + counts[4], sum(counts)


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
