"""From evidence to scores: how good a model is expected to be for one agent and task.

Two ways. SRS: priority and the plain average (SRS 3.6.3), the priority brought to 0..1. POOLED: an average
that is shrunk, level by level, towards what is known less particularly:

    own ratings of the agent and task  <-  the tenant's ratings of the task  <-  the model's offset over all
    tasks  <-  the priority

which learns several times faster where ratings are few, and says the same where they are many; and a bonus
for what was seldom chosen, so that a model gets its chance before an early bad answer, or another's early
good one, decides for ever. Without any rating both give the order of priorities.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from math import sqrt
from typing import TypeAlias

from imrs_client.ranked import Level
from imrs_server.domain.evidence import NO_DECAY, NOTHING, Cells, Decay, Weights, weights
from imrs_server.domain.routing import DEFAULT_POLICY, Exploration, RoutingPolicy, Scoring

# How many ratings one level further up is worth (docs/decisions/0003-shrinkage.md has what was measured).
PRIOR_RATINGS = 2.0
TASK_RATINGS = 30.0
AGENT_RATINGS = 30.0

# The bonus of a model that was never chosen is BONUS / 2. What other agents of the tenant decide counts half,
# up to a limit: an agent goes on trying for itself.
BONUS = 0.3
OTHERS_SHARE = 0.5
OTHERS_LIMIT = 60.0

# Until a model of the agent is rated, priorities decide: the bonus is so small that it only orders equal ones.
UNRATED_BONUS = 1e-7

# Ratings hardly ever vary less than this, however few of them agree.
LEAST_VARIANCE = 0.02


@dataclass(frozen=True, slots=True)
class Offset:
    """How much better a model is rated than others of its tasks, and by how many ratings."""

    value: float
    ratings: float
    mean: float


@dataclass(frozen=True, slots=True)
class Pool:
    """What a tenant knows of its models over all tasks."""

    task_means: Mapping[str, float]
    offsets: Mapping[str, Offset]


NO_POOL = Pool({}, {})


def pool(tasks: Mapping[str, Cells], weigh: Weights, decay: Decay = NO_DECAY) -> Pool:
    """Mean ratings of tasks, shrunk towards 1/2, and the offsets of models from them."""
    means: dict[str, float] = {}
    totals: dict[str, tuple[float, float, float]] = {}
    for task, cells in tasks.items():
        sums = {model_id: weigh.sums(cell, decay) for model_id, cell in cells.items()}
        n_all = sum(n for n, _ in sums.values())
        mean = means[task] = (sum(s for _, s in sums.values()) + 1) / (n_all + 2)
        for model_id, (n, s) in sums.items():
            if n:
                n_m, s_m, surplus = totals.get(model_id, (0.0, 0.0, 0.0))
                totals[model_id] = n_m + n, s_m + s, surplus + s - n * mean
    return Pool(
        means,
        {
            model_id: Offset(surplus / (n + 4 * PRIOR_RATINGS), n, s / n)
            for model_id, (n, s, surplus) in totals.items()
        },
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Knowledge:
    """All that is known for one agent and task; ``task_cells`` are the whole tenant's."""

    task_type: str = ""
    agent_cells: Cells = field(default_factory=dict)
    task_cells: Cells = field(default_factory=dict)
    pool: Pool = NO_POOL
    decay: Decay = NO_DECAY


@dataclass(frozen=True, slots=True, kw_only=True)
class Score:
    """A score by its terms.

    Mean and count are those of ``level``; ``task_rating_count`` is the tenant's. ``estimate`` is the rating
    to expect, ``deviation`` the standard error of it.
    """

    priority_term: float
    experience_term: float = 0.0
    exploration_term: float = 0.0
    rating_mean: float | None = None
    rating_count: float = 0.0
    task_rating_count: float = 0.0
    level: Level = Level.PRIOR
    estimate: float = 0.0
    deviation: float = 0.0


Scorer: TypeAlias = Callable[[RoutingPolicy, Knowledge, Iterable[tuple[str, int]]], dict[str, Score]]
"""Scores for models given as (model_id, effective priority 0..100)."""


def score(policy: RoutingPolicy, knowledge: Knowledge, models: Iterable[tuple[str, int]]) -> dict[str, Score]:
    """Score models by the policy's way; what it leaves unset is as in DEFAULT_POLICY."""
    w_p = _or(policy.priority_weight, DEFAULT_POLICY.priority_weight)
    w_e = _or(policy.experience_weight, DEFAULT_POLICY.experience_weight)
    if policy.scoring is Scoring.SRS:
        return {model_id: _srs(w_p, w_e, knowledge, model_id, p / 100) for model_id, p in models}
    return _Pooled(policy, w_p, w_e, knowledge).all(list(models))


def _srs(w_p: float, w_e: float, knowledge: Knowledge, model_id: str, p: float) -> Score:
    own = knowledge.agent_cells.get(model_id, NOTHING)
    if not own.raw_n:
        return Score(priority_term=p, estimate=p, deviation=_deviation(0.0, 0.0))
    mean = own.raw_s / own.raw_n
    return Score(
        priority_term=w_p * p,
        experience_term=w_e * mean,
        rating_mean=mean,
        rating_count=own.raw_n,
        task_rating_count=own.raw_n,
        level=Level.AGENT_TASK,
        estimate=mean,
        deviation=_deviation(mean * (1 - mean), own.raw_n),
    )


class _Pooled:
    """The pooled way, for one agent and task."""

    __slots__ = ("_decay", "_known", "_w_e", "_w_p", "_weigh", "_with_bonus")

    def __init__(self, policy: RoutingPolicy, w_p: float, w_e: float, knowledge: Knowledge) -> None:
        self._w_p, self._w_e = w_p, w_e
        self._weigh = weights(policy)
        self._known = knowledge
        self._decay = knowledge.decay
        self._with_bonus = policy.exploration in {None, Exploration.UCB}

    def all(self, models: list[tuple[str, int]]) -> dict[str, Score]:
        bonus = 0.0
        if self._with_bonus:
            rated = any(self._rated(model_id) for model_id, _ in models)
            bonus = BONUS if rated else UNRATED_BONUS * (self._w_p + self._w_e)
        return {model_id: self._one(model_id, p / 100, bonus) for model_id, p in models}

    def _rated(self, model_id: str) -> bool:
        known = self._known
        return model_id in known.pool.offsets or any(
            self._weigh.sums(cells[model_id], self._decay)[0]
            for cells in (known.task_cells, known.agent_cells)
            if model_id in cells
        )

    def _one(self, model_id: str, p: float, bonus: float) -> Score:
        known, decay = self._known, self._decay
        own = known.agent_cells.get(model_id, NOTHING)
        task = known.task_cells.get(model_id, NOTHING)
        own_n, own_s = self._weigh.sums(own, decay)
        task_n, task_s = self._weigh.sums(task, decay)
        offset = known.pool.offsets.get(model_id)
        by_task = (task_s + TASK_RATINGS * self._prior(offset, p)) / (task_n + TASK_RATINGS)
        estimate = (own_s + AGENT_RATINGS * by_task) / (own_n + AGENT_RATINGS)
        if own_n:
            level, mean, count = Level.AGENT_TASK, own_s / own_n, own_n
        elif task_n:
            level, mean, count = Level.TENANT_TASK, task_s / task_n, task_n
        elif offset is not None:
            level, mean, count = Level.MODEL, offset.mean, offset.ratings
        else:
            level, mean, count = Level.PRIOR, None, 0.0
        tried = own.decisions * decay.factor(own.last_time) + OTHERS_SHARE * min(
            task.decisions * decay.factor(task.last_time), OTHERS_LIMIT
        )
        return Score(
            priority_term=self._w_p * p,
            experience_term=self._w_e * estimate,
            exploration_term=bonus * sqrt(0.25 / (max(tried, 0.0) + 1)),
            rating_mean=mean,
            rating_count=count,
            task_rating_count=task_n,
            level=level,
            estimate=estimate,
            deviation=_deviation(
                self._weigh.variance(task), own_n + OTHERS_SHARE * min(task_n, OTHERS_LIMIT)
            ),
        )

    def _prior(self, offset: Offset | None, p: float) -> float:
        if offset is None:
            return p
        w_prior = PRIOR_RATINGS / (PRIOR_RATINGS + offset.ratings)
        typical = self._known.pool.task_means.get(self._known.task_type, 0.5) + offset.value
        return w_prior * p + (1 - w_prior) * min(max(typical, 0.0), 1.0)


def _deviation(variance: float, ratings: float) -> float:
    """Standard error of a mean; without a rating that of a coin."""
    return sqrt(max(variance, LEAST_VARIANCE) / ratings) if ratings >= 1 else 0.5


def _or(value: float | None, default: float | None) -> float:
    found = default if value is None else value
    assert found is not None
    return found
