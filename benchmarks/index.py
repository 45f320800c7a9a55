"""The index at full size: a million pairs of agent and model, four million rows of evidence."""

from __future__ import annotations

import json
import statistics
import subprocess
import sys

from benchmarks.rows import Row
from benchmarks.world import world

ROUNDS = 3


def measure() -> list[Row]:
    """Each load is in a process of its own, so that its memory is its own."""
    loads = [_load(world().dsn) for _ in range(ROUNDS)]
    found = {name: statistics.median(each[name] for each in loads) for name in loads[0]}
    beside = f"{found['pairs']:,.0f} pairs, {found['evidence']:,.0f} rows of evidence, in each worker"
    return [
        Row(name="index_build_s", value=found["seconds"], unit="s", beside=beside),
        Row(name="index_build_mib", value=found["mib"], unit="MiB", beside=beside),
        Row(
            name="index_first_table_ms",
            value=found["first_table_ms"],
            unit="ms",
            beside="the first decision for an agent and a task, 100 models",
        ),
    ]


def _load(dsn: str) -> dict[str, float]:
    command = [sys.executable, "-m", "benchmarks.index_load", dsn]
    ended = subprocess.run(command, capture_output=True, text=True, check=True)
    found: dict[str, float] = json.loads(ended.stdout)
    return found
