"""How long ``imrs dev`` takes until it serves, with its demo data."""

from __future__ import annotations

import statistics
import tempfile
import time
from pathlib import Path

from benchmarks.environment import started
from benchmarks.rows import Row

AGAIN = 3


def measure() -> list[Row]:
    """Seconds from the command to dev.env, which says that everything is there."""
    with tempfile.TemporaryDirectory(prefix="imrs-bench-") as folder:
        first, *later = [_seconds(Path(folder)) for _ in range(1 + AGAIN)]
    return [
        Row(
            name="dev_second_start_s",
            value=statistics.median(later),
            unit="s",
            beside="`imrs dev` where it ran before, PostgreSQL and OpenBao included",
        ),
        Row(
            name="dev_first_start_s",
            value=first,
            unit="s",
            beside="which makes cluster and demo data",
        ),
    ]


def _seconds(folder: Path) -> float:
    begin = time.perf_counter()
    with started(folder):
        return time.perf_counter() - begin
