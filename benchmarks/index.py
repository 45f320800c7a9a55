"""The index at full size: a million pairs of agent and model, four million rows of evidence."""

from __future__ import annotations

import json
import statistics
import subprocess
import sys

from benchmarks.rows import Row
from benchmarks.world import AGENTS, World, world

ROUNDS = 3


def measure() -> list[Row]:
    """Each load is in a process of its own, so that its memory is its own."""
    found, tenth = _loaded(world()), _loaded(world(AGENTS // 10))
    beside, less = (
        f"{each['pairs']:,.0f} pairs, {each['evidence']:,.0f} rows of evidence, in each worker"
        for each in (found, tenth)
    )
    return [
        Row(name="index_build_s", value=found["seconds"], unit="s", beside=beside),
        Row(name="index_build_mib", value=found["mib"], unit="MiB", beside=beside),
        Row(
            name="index_first_table_ms",
            value=found["first_table_ms"],
            unit="ms",
            beside="what the first decision for an agent and a task makes, 100 models",
        ),
        Row(name="index_tenth_build_s", value=tenth["seconds"], unit="s", beside=less),
        Row(name="index_tenth_build_mib", value=tenth["mib"], unit="MiB", beside=less),
    ]


def _loaded(of: World) -> dict[str, float]:
    loads = [_load(of.dsn) for _ in range(ROUNDS)]
    return {name: statistics.median(each[name] for each in loads) for name in loads[0]}


def _load(dsn: str) -> dict[str, float]:
    command = [sys.executable, "-m", "benchmarks.index_load", dsn]
    ended = subprocess.run(command, capture_output=True, text=True, check=True)
    found: dict[str, float] = json.loads(ended.stdout)
    return found
