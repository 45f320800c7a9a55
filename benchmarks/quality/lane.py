"""One arm with one seed: what a tenant of its own goes through."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from uuid import UUID, uuid5

import numpy as np
from numpy.typing import NDArray

from benchmarks.quality import plan as plans
from benchmarks.quality.arms import Arm
from benchmarks.quality.plan import Plan

if TYPE_CHECKING:
    from benchmarks.quality.table import Table

TENANTS = UUID("6f0b6a0e-6f0f-4b7c-9d7e-9a52a3f4c0de")


@dataclass(frozen=True, slots=True, kw_only=True)
class Lane:
    """``picks`` (numbers of models) and ``decision_ids`` are filled as it is played; ``rated`` says which
    answers get a rating.
    """

    arm: Arm
    seed: int
    plan: Plan
    picks: NDArray[np.int64]
    rated: NDArray[np.bool_]
    decision_ids: list[str] = field(default_factory=list)

    @property
    def tenant_id(self) -> str:
        return str(uuid5(TENANTS, f"{self.arm.name} {self.seed}"))

    @property
    def earned(self) -> NDArray[np.float64]:
        """The score of each answer."""
        return np.asarray(self.plan.scores[np.arange(len(self.plan)), self.picks])

    @property
    def spent(self) -> NDArray[np.float64]:
        """USD for each answer."""
        return np.asarray(self.plan.costs[np.arange(len(self.plan)), self.picks])


def make(arm: Arm, table: Table, requests: int, seed: int) -> Lane:
    """The plan of a seed is the same for every arm."""
    plan = plans.make(table, requests, seed)
    if arm.falls:
        plan = plans.worsened(plan, table.best_model)
    rated = np.random.default_rng([seed, 1]).random(requests) < arm.rated
    return Lane(arm=arm, seed=seed, plan=plan, picks=np.full(requests, -1), rated=rated)
