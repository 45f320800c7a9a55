"""The candidates of a table as columns: each becomes a Candidate when somebody asks for it.

Most decisions look at one or two of a hundred, and of many agents only their first one is asked for.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from operator import attrgetter
from typing import TYPE_CHECKING, overload

import numpy as np

from imrs_client.columns import Columns
from imrs_client.ranked import Candidate
from imrs_server.domain.cells import Floats
from imrs_server.domain.offer import Traits
from imrs_server.domain.scoring import LEVELS, Scores

if TYPE_CHECKING:
    from imrs_server.domain.cells import Numbers

_TRAITS = tuple(each.name for each in fields(Traits) if each.name not in {"kind", "tie"})
_traits = attrgetter(*_TRAITS)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Standing:
    """How the models of an agent stand at a task: one entry an offer, NaN where nothing is known."""

    task_type: str
    scores: Scores
    latencies_ms: Floats
    error_rates: Floats
    degraded: bool = False


class Candidates(Sequence[Candidate]):
    """Models in their order, the best first, as they stand at a task."""

    __slots__ = ("_made", "_models", "_order", "_priorities", "standing")

    def __init__(
        self, models: Sequence[Traits], priorities: Numbers, standing: Standing, order: Numbers
    ) -> None:
        """``order`` has the positions of the models, the best first."""
        self._order: list[int] = order.tolist()
        self._models = [models[i] for i in self._order]
        self._priorities: list[int] = priorities[order].tolist()
        self.standing = standing
        self._made: dict[int, Candidate] = {}

    def columns(self) -> Columns:
        """What filters read of them."""
        standing, order = self.standing, self._order
        return Columns(
            self._models,
            priorities=self._priorities,
            rated=(standing.scores.rating_counts[order] != 0).tolist(),
            latencies_ms=_or_below(standing.latencies_ms[order]),
            error_rates=_or_below(standing.error_rates[order]),
        )

    def origin(self, position: int) -> int:
        """Which of the models it is that stands there."""
        return self._order[position]

    def __len__(self) -> int:
        return len(self._models)

    @overload
    def __getitem__(self, position: int) -> Candidate: ...
    @overload
    def __getitem__(self, position: slice) -> list[Candidate]: ...
    def __getitem__(self, position: int | slice) -> Candidate | list[Candidate]:
        if isinstance(position, slice):
            return [self[i] for i in range(len(self))[position]]
        found = self._made.get(position)
        if found is None:
            found = self._made[position] = self._make(position)
        return found

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sequence) and list(self) == list(other)

    __hash__ = None  # type: ignore[assignment]  # as of a list

    def _make(self, position: int) -> Candidate:
        model, i = self._models[position], self._order[position]
        standing, scores = self.standing, self.standing.scores
        return Candidate(
            **dict(zip(_TRAITS, _traits(model), strict=True)),
            priority=self._priorities[position],
            latency_ms=_told(standing.latencies_ms[i]),
            error_rate=_told(standing.error_rates[i]),
            priority_term=float(scores.priority_terms[i]),
            experience_term=float(scores.experience_terms[i]),
            exploration_term=float(scores.exploration_terms[i]),
            rating_mean=_told(scores.rating_means[i]),
            rating_count=float(scores.rating_counts[i]),
            task_rating_count=float(scores.task_rating_counts[i]),
            level=LEVELS[int(scores.levels[i])],
            estimate=float(scores.estimates[i]),
            deviation=float(scores.deviations[i]),
        )


def _told(value: float) -> float | None:
    return None if np.isnan(value) else float(value)


def _or_below(values: Floats) -> Floats:
    """Below 0 where nothing is known."""
    found: Floats = np.where(np.isnan(values), -1.0, values)
    return found
