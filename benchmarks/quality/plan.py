"""Who asks what, and what each model would have been worth: fixed by a seed before anything is routed."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from benchmarks.quality.table import Table

AGENTS = 10
TASKS_EACH = 5

# What a model that loses quality keeps of every score.
KEPT = 0.4


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """Requests in order. ``agents`` and ``tasks`` are numbers, ``scores`` and ``costs`` (requests, models).

    From the request ``turn`` on a model is worth something else than before; 0 where all stays as it is.
    """

    agents: NDArray[np.int64]
    tasks: NDArray[np.int64]
    scores: NDArray[np.float64]
    costs: NDArray[np.float64]
    turn: int = 0

    def __len__(self) -> int:
        return len(self.agents)

    @property
    def oracle(self) -> NDArray[np.int64]:
        """Per request the model that did best in hindsight, over all requests of its task and side of the
        turn.
        """
        best = np.zeros(len(self), dtype=np.int64)
        after = np.arange(len(self)) >= self.turn
        for task, side in {*zip(self.tasks.tolist(), after.tolist(), strict=True)}:
            mine = (self.tasks == task) & (after == side)
            best[mine] = self.scores[mine].mean(axis=0).argmax()
        return best

    @property
    def best_single(self) -> int:
        """The one model that did best in hindsight over all requests."""
        return int(self.scores.mean(axis=0).argmax())


def make(table: Table, requests: int, seed: int) -> Plan:
    """Agents ask as often as Zipf's law says, each for a few task types, prompts without replacement.

    A task type whose prompts are used up starts over in another order.
    """
    rng = np.random.default_rng(seed)
    often = 1 / np.arange(1, AGENTS + 1)
    names = table.tasks
    each = min(TASKS_EACH, len(names))
    own = [rng.choice(len(names), each, replace=False) for _ in range(AGENTS)]
    agents = rng.choice(AGENTS, requests, p=often / often.sum())
    tasks = np.array([own[agent][rng.integers(each)] for agent in agents])
    scores = np.zeros((requests, len(table.models)))
    costs = np.zeros_like(scores)
    for number, name in enumerate(names):
        mine = np.flatnonzero(tasks == number)
        prompts = len(table.scores[name])
        rounds = -(-len(mine) // prompts)
        order = np.concatenate([rng.permutation(prompts) for _ in range(max(rounds, 1))])[: len(mine)]
        scores[mine] = table.scores[name][order]
        costs[mine] = table.costs[name][order]
    return Plan(agents=agents, tasks=tasks, scores=scores, costs=costs)


def worsened(plan: Plan, model: int) -> Plan:
    """The same plan, in which a model loses most of its quality half way."""
    scores, turn = plan.scores.copy(), len(plan) // 2
    scores[turn:, model] *= KEPT
    return replace(plan, scores=scores, turn=turn)
