"""The benchmark of learning through a service of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]


@pytest.mark.long
def test_it_plays_every_arm_and_fails_where_a_bound_is_missed(tmp_path: Path) -> None:
    """So few requests that nothing is learned: what counts is that everything is played and judged."""
    command = [sys.executable, "-m", "benchmarks.quality", "few_models", "--requests", "100", "--seeds", "1"]
    environment = os.environ | {"BENCH_OUT": str(tmp_path)}
    ran = subprocess.run(command, env=environment, cwd=ROOT, capture_output=True, text=True, check=False)
    kept = json.loads((tmp_path / "quality-few_models.json").read_text())
    assert {row["name"] for row in kept["rows"]} >= {"pooled", "srs", "static priority", "oracle per task"}
    assert all(0 < row["whole"] <= 150 for row in kept["rows"])
    assert len(kept["checks"]) == 6
    assert ran.returncode == (0 if all(each["holds"] for each in kept["checks"]) else 1), ran.stderr
    assert ran.stdout.count("holds") + ran.stdout.count("MISSED") == 6
