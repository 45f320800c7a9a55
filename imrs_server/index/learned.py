"""What a tenant has learned, as of one revision."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from imrs_server.domain import scoring
from imrs_server.domain.evidence import NO_DECAY, Cells, Decay, Weights
from imrs_server.domain.scoring import Pool


@dataclass(frozen=True, slots=True)
class Learned:
    """The tenant's evidence by task type, and what is left of it."""

    tasks: Mapping[str, Cells] = field(default_factory=dict)
    decay: Decay = NO_DECAY
    _pools: dict[Weights, Pool] = field(default_factory=dict, compare=False, repr=False)

    def pool(self, weights: Weights) -> Pool:
        """It all summed up; remembered, for few policies weigh differently."""
        found = self._pools.get(weights)
        if found is None:
            found = self._pools[weights] = scoring.pool(self.tasks, weights, self.decay)
        return found


NOTHING_LEARNED = Learned()
