"""What the figures must show: at least, and what is aimed at."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from benchmarks.rows import Row

# A row whose name ends in a unit is judged by its value, which must not be more; every other one by its
# ratio, which must not be less.
UNITS = ("_us", "_ms", "_s", "_mib")


@dataclass(frozen=True, slots=True)
class Bound:
    """``must`` decides whether the run succeeds, ``aim`` only what the table says."""

    must: float
    aim: float | None = None


BOUNDS: Mapping[str, Bound] = {
    "route_bare": Bound(0.90, 0.97),
    "route_full": Bound(0.75, 0.90),
    "workers": Bound(1.4, 1.8),
    "decision_mean_us": Bound(10, 3),
    "decision_p99_us": Bound(60, 25),
    "batch_cpu": Bound(10, 30),
    "replica": Bound(100, 500),
    "litellm_router": Bound(30, 100),
    "complete_ttfb": Bound(5, 10),
    "complete_streams": Bound(1, 2),
    "index_build_s": Bound(8, 3),
    "index_build_mib": Bound(250),
    "route_p95_ms": Bound(50, 10),
    "propagation_p99_ms": Bound(250, 50),
    "feedback_batch": Bound(5, 20),
    "feedback_p95_ms": Bound(100),
    "models_page_p95_ms": Bound(50, 10),
    "sync_thousand_s": Bound(30, 2),
    "sync_catalogue_s": Bound(5),
    "sync_fifty_thousand_s": Bound(60),
    "sync_fifty_thousand_memory_mib": Bound(150),
    "route_one_caller_p95_ms": Bound(5),
    "detect_1kb_us": Bound(50),
    "detect_256kb_hostile_us": Bound(5000),
    "dev_second_start_s": Bound(5, 2),
}


def by_value(name: str) -> bool:
    """Whether rows of this name are judged by value."""
    return name.endswith(UNITS)


def judged(row: Row) -> float | None:
    """The figure that counts."""
    return row.value if by_value(row.name) else row.ratio


def meets(row: Row, limit: float | None) -> bool:
    """Whether a row is as good as a limit; a row without a ratio to judge is not."""
    found = judged(row)
    if limit is None:
        return True
    if found is None:
        return False
    return found <= limit if by_value(row.name) else found >= limit


def holds(row: Row) -> bool:
    """Whether a row keeps its bound; one without a bound does."""
    bound = BOUNDS.get(row.name)
    return bound is None or meets(row, bound.must)
