"""What a tenant has learned, as of one revision."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from imrs_server.domain import scoring
from imrs_server.domain.cells import Cells
from imrs_server.domain.evidence import NO_DECAY, Decay, Weights
from imrs_server.domain.scoring import Pool

if TYPE_CHECKING:
    from datetime import timedelta


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

    def renewed(self, tasks: Mapping[str, Cells]) -> Learned:
        """Of other evidence, with all that was summed up of this summed up already."""
        found = Learned(tasks, _decay(tasks, self.decay.half_life_seconds))
        for weights in list(self._pools):
            found.pool(weights)
        return found


NOTHING_LEARNED = Learned()

# By a step ratings lose less than a thousandth.
STEPS_A_HALF_LIFE = 1024


def of(tasks: Mapping[str, Cells], half_life: timedelta | None) -> Learned:
    """What is left of what was learned."""
    return Learned(tasks, _decay(tasks, half_life.total_seconds() if half_life else 0.0))


def _decay(tasks: Mapping[str, Cells], half_life_seconds: float) -> Decay:
    """As of the tenant's newest evidence: of its own time, so that equal evidence is read equally by every
    server, whatever its clock. By steps, so that a rating does not change what all others are worth, and with
    them every table.
    """
    newest = float(max((each.newest for each in tasks.values() if each.common), default=0))
    step = half_life_seconds / STEPS_A_HALF_LIFE
    return Decay(newest // step * step if step else newest, half_life_seconds)
