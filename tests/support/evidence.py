"""Evidence made by hand, of models by id, and the scores that come of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from zlib import crc32

import numpy as np

from imrs_client.ranked import Level
from imrs_server.domain import scoring
from imrs_server.domain.cells import COMMON, RARE, RARE_SUMS, SERVED, Cells
from imrs_server.domain.evidence import NO_DECAY, Decay, Weights
from imrs_server.domain.scoring import LEVELS, NO_POOL, Knowledge, Pool

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from imrs_server.domain.routing import RoutingPolicy

Sums = dict[str, Any]
"""What is not 0 of a row of ``evidence``; ``last_time`` in seconds since 2026."""

_COMMON_SUMS = (COMMON.names or ())[1:]
_SERVED_SUMS = SERVED.names or ()


def number(model_id: str) -> int:
    """A model's number in evidence made here."""
    return crc32(model_id.encode())


def rated(n: float, s: float, **more: float) -> Sums:
    """Explicit ratings."""
    return {"explicit_n": n, "explicit_s": s, "raw_n": round(n), "raw_s": s, **more}


def cells(sums: Mapping[str, Sums]) -> Cells:
    """Sums by model, as the database would send them."""
    common = [
        (number(model_id), *(each.get(name, 0) for name in _COMMON_SUMS)) for model_id, each in sums.items()
    ]
    served = [tuple(each.get(name, 0) for name in _SERVED_SUMS) for each in sums.values()]
    rare = [
        (number(model_id), *(each.get(name, 0) for name in RARE_SUMS))
        for model_id, each in sums.items()
        if not each.keys().isdisjoint(RARE_SUMS)
    ]
    return Cells(
        np.array(common, COMMON).tobytes(),
        np.array(served, SERVED).tobytes(),
        np.array(rare, RARE).tobytes(),
    )


def pool(tasks: Mapping[str, Mapping[str, Sums]], weigh: Weights, decay: Decay = NO_DECAY) -> Pool:
    return scoring.pool({task: cells(sums) for task, sums in tasks.items()}, weigh, decay)


def knowledge(
    *,
    task_type: str = "",
    own: Mapping[str, Sums] | None = None,
    task: Mapping[str, Sums] | None = None,
    pool: Pool = NO_POOL,
    decay: Decay = NO_DECAY,
) -> Knowledge:
    return Knowledge(
        task_type=task_type, own=cells(own or {}), task=cells(task or {}), pool=pool, decay=decay
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Score:
    """One model's entry of Scores."""

    priority_term: float
    experience_term: float
    exploration_term: float
    rating_mean: float
    rating_count: float
    task_rating_count: float
    level: Level
    estimate: float
    deviation: float

    @property
    def total(self) -> float:
        return self.priority_term + self.experience_term + self.exploration_term


def score(policy: RoutingPolicy, known: Knowledge, models: Iterable[tuple[str, int]]) -> dict[str, Score]:
    """Scores by model, for models with their priorities from 0 to 100."""
    ids, priorities = zip(*models, strict=True)
    numbers = np.array([number(each) for each in ids], np.int64)
    found = scoring.score(policy, known, numbers, np.array(priorities, np.float64) / 100)
    return {
        model_id: Score(
            priority_term=float(found.priority_terms[i]),
            experience_term=float(found.experience_terms[i]),
            exploration_term=float(found.exploration_terms[i]),
            rating_mean=float(found.rating_means[i]),
            rating_count=float(found.rating_counts[i]),
            task_rating_count=float(found.task_rating_counts[i]),
            level=LEVELS[found.levels[i]],
            estimate=float(found.estimates[i]),
            deviation=float(found.deviations[i]),
        )
        for i, model_id in enumerate(ids)
    }
