"""A table made by hand, as the columns that the index gives."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from imrs_server.domain.scoring import LEVELS
from imrs_server.index.view import Columns

if TYPE_CHECKING:
    from collections.abc import Callable

    from imrs_client.ranked import Candidate, RankedTable


def columns(table: RankedTable) -> Columns:
    """The same table, column by column."""
    ranked = table.candidates
    numbers = {each: number for number, each in enumerate(sorted(each.model_id for each in ranked))}

    def column(read: Callable[[Candidate], Any]) -> Any:
        found = [read(each) for each in ranked]
        return np.array([np.nan if each is None else each for each in found], np.float64)

    return Columns(
        numbers=np.array([numbers[each.model_id] for each in ranked], np.int64),
        priority_terms=column(lambda each: each.priority_term),
        experience_terms=column(lambda each: each.experience_term),
        exploration_terms=column(lambda each: each.exploration_term),
        rating_means=column(lambda each: each.rating_mean),
        rating_counts=column(lambda each: each.rating_count),
        task_rating_counts=column(lambda each: each.task_rating_count),
        levels=np.array([LEVELS.index(each.level) for each in ranked], np.int64),
        estimates=column(lambda each: each.estimate),
        deviations=column(lambda each: each.deviation),
        latencies_ms=column(lambda each: each.latency_ms),
        error_rates=column(lambda each: each.error_rate),
        chance=table.policy.exploration_rate > 0,
        degraded=table.degraded,
    )
