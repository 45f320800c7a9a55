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

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from imrs_client.ranked import Level
from imrs_server.domain.cells import NO_CELLS, Cells, Floats, Numbers, look_up
from imrs_server.domain.evidence import NO_DECAY, Decay, Weights, weights
from imrs_server.domain.routing import DEFAULT_POLICY, Exploration, RoutingPolicy, Scoring

# How many ratings one level further up is worth (docs/decisions/0003-shrinkage.md has what was measured).
PRIOR_RATINGS = 2.0
TASK_RATINGS = 30.0
AGENT_RATINGS = 30.0

# The bonus of a model that was never chosen is BONUS / 2. What other agents of the tenant decide counts half,
# up to a limit: an agent goes on trying for itself.
BONUS = 0.2
OTHERS_SHARE = 0.5
OTHERS_LIMIT = 60.0

# Until a model of the agent is rated, priorities decide: so small a bonus only orders equal ones.
UNRATED_BONUS = 1e-7

# Ratings hardly ever vary less than this, however few of them agree.
LEAST_VARIANCE = 0.02


@dataclass(frozen=True, slots=True, eq=False)
class Pool:
    """What a tenant knows of its models over all tasks.

    ``models`` rise. ``offsets`` say how much better each is rated than others of its tasks, ``ratings`` by
    how many ratings, ``means`` what they come to.
    """

    task_means: Mapping[str, float]
    models: Numbers
    offsets: Floats
    ratings: Floats
    means: Floats

    def of(self, models: Numbers) -> tuple[Floats, Floats, Floats]:
        """Offsets, ratings and means of some models; zeros for one that was never rated."""
        offsets, ratings, means = look_up(models, self.models, (self.offsets, self.ratings, self.means))
        return offsets, ratings, means


NO_POOL = Pool({}, np.zeros(0, np.int64), *(np.zeros(0) for _ in range(3)))


def pool(tasks: Mapping[str, Cells], weigh: Weights, decay: Decay = NO_DECAY) -> Pool:
    """Mean ratings of tasks, shrunk towards 1/2, and the offsets of models from them."""
    means: dict[str, float] = {}
    parts: list[tuple[Numbers, Floats, Floats, Floats]] = []
    for task, cells in sorted(tasks.items()):
        models, known = cells.read(weigh, decay)
        mean = means[task] = float((known.s.sum() + 1) / (known.n.sum() + 2))
        rated = known.n > 0
        n, s = known.n[rated], known.s[rated]
        parts.append((models[rated], n, s, s - n * mean))
    if not parts:
        return NO_POOL
    models, n, s, surplus = (np.concatenate(each) for each in zip(*parts, strict=True))
    models, which = np.unique(models, return_inverse=True)
    totals = [np.bincount(which, each, len(models)).astype(np.float64) for each in (n, s, surplus)]
    n, s, surplus = totals
    return Pool(means, models, surplus / (n + 4 * PRIOR_RATINGS), n, s / n)


@dataclass(frozen=True, slots=True, kw_only=True)
class Knowledge:
    """All that is known for one agent and task; ``task`` is the whole tenant's."""

    task_type: str = ""
    own: Cells = NO_CELLS
    task: Cells = NO_CELLS
    pool: Pool = NO_POOL
    decay: Decay = NO_DECAY


# In the order of ``Scores.levels``.
LEVELS = tuple(Level)


@dataclass(frozen=True, slots=True, kw_only=True)
class Scores:
    """Scores by their terms, one entry a model.

    Means and counts are those of the level, which is a position in LEVELS; a mean is NaN where nothing was
    rated. ``task_rating_counts`` are the tenant's. ``estimates`` are the ratings to expect, ``deviations``
    their standard errors.
    """

    priority_terms: Floats
    experience_terms: Floats
    exploration_terms: Floats
    rating_means: Floats
    rating_counts: Floats
    task_rating_counts: Floats
    levels: NDArray[np.int64]
    estimates: Floats
    deviations: Floats


Scorer: TypeAlias = Callable[[RoutingPolicy, Knowledge, Numbers, Floats], Scores]
"""Scores for models with their effective priorities, 0 to 1."""

_PRIOR, _MODEL, _TENANT_TASK, _AGENT_TASK = (
    LEVELS.index(each) for each in (Level.PRIOR, Level.MODEL, Level.TENANT_TASK, Level.AGENT_TASK)
)


def score(policy: RoutingPolicy, knowledge: Knowledge, models: Numbers, priorities: Floats) -> Scores:
    """Score models by the policy's way; what it leaves unset is as in DEFAULT_POLICY."""
    w_p = _or(policy.priority_weight, DEFAULT_POLICY.priority_weight)
    w_e = _or(policy.experience_weight, DEFAULT_POLICY.experience_weight)
    way = _srs if policy.scoring is Scoring.SRS else _pooled
    return way(policy, w_p, w_e, knowledge, models, priorities)


def by_priority(priorities: Floats) -> Scores:
    """Scores that are the priorities, for where nothing else is to be trusted."""
    nothing = np.zeros_like(priorities)
    return Scores(
        priority_terms=priorities,
        experience_terms=nothing,
        exploration_terms=nothing,
        rating_means=np.full_like(priorities, np.nan),
        rating_counts=nothing,
        task_rating_counts=nothing,
        levels=np.full(len(priorities), _PRIOR),
        estimates=priorities,
        deviations=_deviations(nothing, nothing),
    )


def _srs(
    policy: RoutingPolicy, w_p: float, w_e: float, knowledge: Knowledge, models: Numbers, p: Floats
) -> Scores:
    known = knowledge.own.figures(models, weights(policy), knowledge.decay)
    rated = known.raw_n > 0
    means = np.divide(known.raw_s, known.raw_n, out=np.full_like(p, np.nan), where=rated)
    estimates = np.where(rated, means, p)
    return Scores(
        priority_terms=np.where(rated, w_p * p, p),
        experience_terms=np.where(rated, w_e * estimates, 0.0),
        exploration_terms=np.zeros_like(p),
        rating_means=means,
        rating_counts=known.raw_n,
        task_rating_counts=known.raw_n,
        levels=np.where(rated, _AGENT_TASK, _PRIOR),
        estimates=estimates,
        deviations=_deviations(estimates * (1 - estimates), known.raw_n),
    )


def _pooled(
    policy: RoutingPolicy, w_p: float, w_e: float, knowledge: Knowledge, models: Numbers, p: Floats
) -> Scores:
    weigh, decay = weights(policy), knowledge.decay
    own, task = (each.figures(models, weigh, decay) for each in (knowledge.own, knowledge.task))
    offsets, ratings, means = knowledge.pool.of(models)
    prior = _priors(knowledge, offsets, ratings, p)
    by_task = (task.s + TASK_RATINGS * prior) / (task.n + TASK_RATINGS)
    estimates = (own.s + AGENT_RATINGS * by_task) / (own.n + AGENT_RATINGS)
    spoke = [own.n > 0, task.n > 0, ratings > 0]
    bonus = 0.0
    if policy.exploration in {None, Exploration.UCB}:
        bonus = BONUS if any(each.any() for each in spoke) else UNRATED_BONUS * (w_p + w_e)
    tried = own.decisions + OTHERS_SHARE * np.minimum(task.decisions, OTHERS_LIMIT)
    return Scores(
        priority_terms=w_p * p,
        experience_terms=w_e * estimates,
        exploration_terms=bonus * np.sqrt(0.25 / (tried + 1)),
        rating_means=_closest(spoke, (_mean(own.s, own.n), _mean(task.s, task.n), means), np.nan),
        rating_counts=_closest(spoke, (own.n, task.n, ratings), 0.0),
        task_rating_counts=task.n,
        levels=_closest(spoke, (_AGENT_TASK, _TENANT_TASK, _MODEL), _PRIOR),
        estimates=estimates,
        deviations=_deviations(task.variance, own.n + OTHERS_SHARE * np.minimum(task.n, OTHERS_LIMIT)),
    )


def _priors(knowledge: Knowledge, offsets: Floats, ratings: Floats, p: Floats) -> Floats:
    shares = PRIOR_RATINGS / (PRIOR_RATINGS + ratings)
    typical = knowledge.pool.task_means.get(knowledge.task_type, 0.5) + offsets
    priors: Floats = np.where(ratings > 0, shares * p + (1 - shares) * np.clip(typical, 0.0, 1.0), p)
    return priors


def _closest(spoke: Sequence[NDArray[np.bool_]], values: Sequence[Any], default: float) -> NDArray[Any]:
    """The value of the first level that has something to say; as np.select, in a fifth of its time."""
    found: Any = default
    for says, value in zip(reversed(spoke), reversed(values), strict=True):
        found = np.where(says, value, found)
    return np.asarray(found)


def _mean(s: Floats, n: Floats) -> Floats:
    return np.divide(s, n, out=np.zeros_like(n), where=n > 0)


def _deviations(variances: Floats, ratings: Floats) -> Floats:
    """Standard errors of means; without a rating that of a coin."""
    counted = np.maximum(ratings, 1.0)
    found: Floats = np.where(ratings >= 1, np.sqrt(np.maximum(variances, LEAST_VARIANCE) / counted), 0.5)
    return found


def _or(value: float | None, default: float | None) -> float:
    found = default if value is None else value
    assert found is not None
    return found
