"""The parts of a run: modules of this package, each with the names by which its figures are asked for."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from benchmarks.rows import Row

# Those that need little first, so that a run that is broken off still says something.
PARTS: Mapping[str, tuple[str, ...]] = {
    "decision": ("decision_mean_us", "decision_p99_us"),
    "peers": ("litellm_router",),
    "detection": ("detect_1kb_us", "detect_256kb_hostile_us"),
    "start": ("dev_second_start_s", "dev_first_start_s"),
    "route": ("route_one_caller_p95_ms",),
    "sync": (
        "sync_thousand_s",
        "sync_catalogue_s",
        "sync_fifty_thousand_s",
        "sync_fifty_thousand_memory_mib",
    ),
    "rollup": (),
    "index": ("index_build_s", "index_build_mib"),
    "calls": ("route_bare", "route_full", "batch_cpu"),
    "workers": ("workers", "route_p95_ms"),
    "propagation": ("propagation_p99_ms",),
    "replica": ("replica",),
    "fanout": ("watch_fanout_ms",),
    "sql_router": ("sql_router",),
    "proxy": ("litellm_proxy",),
    "complete_ttfb": ("complete_ttfb",),
    "complete_streams": ("complete_streams",),
    "feedback": ("feedback_batch", "feedback_p95_ms"),
    "lists": ("models_page_p95_ms",),
}


class UnknownPart(Exception):
    """Neither a part nor the name of a figure that one of them gives."""


def named(names: Sequence[str]) -> list[str]:
    """The parts that are named, or that give a figure that is named; all where nothing is. In their order.

    Raises UnknownPart.
    """
    wanted = {_part(name) for name in names} or set(PARTS)
    return [part for part in PARTS if part in wanted]


def measure(part: str) -> list[Row]:
    """Run a part. Raises Skipped."""
    found: list[Row] = import_module(f"benchmarks.{part}").measure()
    return found


def _part(name: str) -> str:
    for part, figures in PARTS.items():
        if name == part or name in figures:
            return part
    known = ", ".join([*PARTS, *(figure for figures in PARTS.values() for figure in figures)])
    raise UnknownPart(f"{name}: not one of {known}")
