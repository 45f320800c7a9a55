"""The processor cores that this process may use, and staying on one of them."""

from __future__ import annotations

import math
import os
from contextlib import suppress
from pathlib import Path

# "max 100000", or "250000 100000" for two and a half cores: microseconds of each so many microseconds.
_QUOTA = Path("/sys/fs/cgroup/cpu.max")


def count(quota: Path = _QUOTA) -> int:
    """How many cores' worth of time there is: what a container may use, where it is bounded; at least 1."""
    cores = len(_own())
    with suppress(OSError, ValueError):
        share, period = quota.read_text(encoding="ascii").split()
        cores = min(cores, math.ceil(int(share) / int(period)))
    return max(cores, 1)


def pin(number: int) -> None:
    """Stay on the core of that number, counted from 0 round and round; where the system can do that."""
    if hasattr(os, "sched_setaffinity"):
        cores = _own()
        with suppress(OSError):  # some sandboxes forbid it; then the system chooses
            os.sched_setaffinity(0, {cores[number % len(cores)]})


def _own() -> list[int]:
    if hasattr(os, "sched_getaffinity"):
        return sorted(os.sched_getaffinity(0))
    return list(range(os.cpu_count() or 1))
