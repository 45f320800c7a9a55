"""Ranked tables as pieces of AgentSnapshot: a whole one, or what is different of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from imrs_client import v1 as pb
from imrs_server.domain.scoring import LEVELS
from imrs_server.transport.convert import common

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from imrs_server.domain.cells import Floats, Numbers
    from imrs_server.index.view import Columns

Pieces = tuple[bytes, ...]

_CANDIDATES_A_PIECE = 4096

_VALUES = (
    "priority_terms", "experience_terms", "exploration_terms", "rating_means", "rating_counts", "levels",
    "task_rating_counts", "latencies_ms", "error_rates",
)  # fmt: skip
# What exploration by chance draws from; not told where it does not.
_CHANCES = ("estimates", "deviations")

_LEVELS = np.array([common.number(pb.CandidateReport.Level, each) for each in LEVELS])


class Table(NamedTuple):
    """A table, and how it is told."""

    columns: Columns
    pieces: Pieces


def told(task_type: str, columns: Columns) -> Table:
    return Table(columns, tuple(_whole(task_type, columns)))


def difference(task_type: str, before: Table, now: Table) -> Pieces:
    """What leads from a table to another of the same models: a patch where little is different."""
    old, new = before.columns, now.columns
    if (len(old.numbers), old.chance, old.degraded) != (len(new.numbers), new.chance, new.degraded):
        return now.pieces
    changed = _changed(old, new)
    if len(changed) > min(len(new.numbers) // 2, _CANDIDATES_A_PIECE):
        return now.pieces
    at = np.argsort(new.numbers)[changed]
    columns = _columns(new, at)
    same_order = np.array_equal(old.numbers, new.numbers)
    return (
        _bytes(
            task_type=task_type,
            degraded=new.degraded,
            patch=True,
            changed=changed.tolist(),
            **columns | {"numbers": [] if same_order else new.numbers.tolist()},
        ),
    )


def _changed(old: Columns, new: Columns) -> Numbers:
    """The numbers of candidates of which anything is different."""
    before, now = np.argsort(old.numbers), np.argsort(new.numbers)
    differs = np.zeros(len(now), np.bool_)
    for name in (*_VALUES, *(_CHANCES if new.chance else ())):
        one, other = getattr(old, name)[before], getattr(new, name)[now]
        differs |= ~((one == other) | (np.isnan(one) & np.isnan(other)))
    return np.flatnonzero(differs)


def _whole(task_type: str, columns: Columns) -> Iterator[bytes]:
    count = len(columns.numbers)
    lists = _columns(columns, np.arange(count))
    for start in range(0, max(1, count), _CANDIDATES_A_PIECE):
        part = {name: each[start : start + _CANDIDATES_A_PIECE] for name, each in lists.items()}
        yield _bytes(task_type=task_type, degraded=columns.degraded, **part)


def _columns(found: Columns, at: NDArray[np.int64]) -> dict[str, list[Any]]:
    """The candidates at some positions, as the lists of SnapshotTable."""
    scores = found.priority_terms + found.experience_terms + found.exploration_terms
    return {
        "numbers": found.numbers[at].tolist(),
        "scores": scores[at].tolist(),
        "priority_terms": found.priority_terms[at].tolist(),
        "experience_terms": found.experience_terms[at].tolist(),
        "exploration_terms": _unless_zero(found.exploration_terms[at]),
        "rating_means": _unless_nan(found.rating_means[at]),
        "rating_counts": _unless_zero(found.rating_counts[at]),
        "levels": _levels(found.levels[at]),
        "task_rating_counts": _unless_zero(found.task_rating_counts[at]),
        "estimates": found.estimates[at].tolist() if found.chance else [],
        "deviations": found.deviations[at].tolist() if found.chance else [],
        "latencies_ms": _unless_nan(found.latencies_ms[at]),
        "error_rates": _unless_nan(found.error_rates[at]),
    }


def _bytes(**fields: Any) -> bytes:
    return pb.AgentSnapshot(tables=[pb.SnapshotTable(**fields)]).SerializeToString(deterministic=True)


def _unless_zero(column: Floats) -> list[float]:
    """Empty where all entries are 0."""
    return list(column.tolist()) if column.any() else []


def _unless_nan(column: Floats) -> list[float]:
    """Empty where nothing is known of any."""
    return [] if np.isnan(column).all() else list(column.tolist())


def _levels(column: Numbers) -> list[int]:
    """Empty where all are PRIOR."""
    found = _LEVELS[column]
    return [] if (found == pb.CandidateReport.PRIOR).all() else list(found.tolist())
