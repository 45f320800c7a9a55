"""Our decision beside LiteLLM's Router, which tests every deployment of a group in each call.

Both only choose here. LiteLLM also keeps count of what fails and of rate limits while it does, we do that
elsewhere; so the row that is judged makes us test every model too, by a limit of latency, for which nothing
is remembered between calls.
"""

from __future__ import annotations

import random
import subprocess
import time
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks import population
from benchmarks.rows import Row, Skipped, faster
from imrs_client.decide import decide
from imrs_client.query import Query
from imrs_client.ranked import RankedTable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

PYTHON = Path(".venv-litellm/bin/python")
SIDE = Path(__file__).with_name("litellm_side.py")
ROUNDS = 5
JUDGED = 1000
# Deployments, and calls of a round of LiteLLM.
SIZES = {100: 300, JUDGED: 60, 5000: 10}
CALLS = 300


def measure() -> list[Row]:
    """Microseconds of a choice among so many; the two take turns."""
    if not PYTHON.exists():
        raise Skipped("LiteLLM is not installed; `make litellm` does it (600 MB)")
    rows = []
    with _litellm() as ask:
        for size, calls in SIZES.items():
            rows += _compared(size, partial(ask, size, calls))
    return rows


def _compared(size: int, theirs: Callable[[], float]) -> list[Row]:
    table = _table(size)
    queries = {
        "full_scan": Query(capabilities=("text",), max_latency_ms=500.0),
        "early_exit": Query(capabilities=("text",)),
    }
    theirs()
    found: dict[str, list[float]] = {name: [] for name in queries}
    them = []
    for _ in range(ROUNDS):
        them.append(theirs())
        for name, query in queries.items():
            found[name].append(_us(table, query))
    assert all(decide(table, each).eligible == size for each in queries.values())
    beside = f"LiteLLM's Router, {size:,} deployments"
    rows = [faster(f"litellm_router_{size}_{name}", ours, them, "us", beside) for name, ours in found.items()]
    if size == JUDGED:
        rows[0] = replace(rows[0], name="litellm_router", beside=f"{beside}; we test every one too")
    return rows


def _table(size: int) -> RankedTable:
    draw = random.Random(7)
    models = [replace(each, latency_ms=draw.uniform(50, 500)) for each in population.catalogue(draw)[:size]]
    return RankedTable(revision=1, agent_id="a", task_type="code", candidates=tuple(models))


def _us(table: RankedTable, query: Query) -> float:
    decide(table, query)
    start = time.perf_counter()
    for _ in range(CALLS):
        decide(table, query)
    return (time.perf_counter() - start) / CALLS * 1e6


@contextmanager
def _litellm() -> Iterator[Callable[[int, int], float]]:
    with subprocess.Popen(
        [PYTHON, "-P", SIDE],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as process:

        def ask(deployments: int, calls: int) -> float:
            assert process.stdin is not None
            assert process.stdout is not None
            print(deployments, calls, file=process.stdin, flush=True)
            return float(process.stdout.readline())

        yield ask
        process.communicate()
