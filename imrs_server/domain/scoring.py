"""From evidence to scores: how good a model is expected to be for one agent and task.

Two ways. SRS: priority and the plain average (SRS 3.6.3), the priority brought to 0..1. POOLED: an average
that is shrunk, level by level, towards what is known less particularly:

    own ratings of the agent and task  <-  the tenant's ratings of the task  <-  the model's offset over all
    tasks  <-  the priority

which learns several times faster where ratings are few, and says the same where they are many. Without any
rating both give the order of priorities.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

from imrs_client.ranked import Level
from imrs_server.domain.routing import DEFAULT_POLICY, RoutingPolicy, Scoring

# What a rating counts by its kind in POOLED: a stated opinion whole, what is only inferred less.
DEFAULT_WEIGHTS: Mapping[str, float] = {
    "EXPLICIT": 1.0,
    "SELF_EVAL": 0.3,
    "IMPLICIT": 0.3,
    "REGENERATE": 0.3,
    "COPY": 0.3,
    "CONTINUE": 0.0,
    "ABANDON": 0.3,
}
# A weight for IMPLICIT stands for these too, unless they are named; CONTINUE only counts by its own name.
_IMPLIED = ("REGENERATE", "COPY", "ABANDON")

# How many ratings one level further up is worth.
PRIOR_RATINGS = 8.0
TASK_RATINGS = 10.0
AGENT_RATINGS = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """Sums over the ratings of one model, as in the table ``evidence``: of 1, of r and, of some, of r^2.

    ``raw_n`` and ``raw_s`` are the sums behind the plain average.
    """

    raw_n: int = 0
    raw_s: float = 0.0
    explicit_n: float = 0.0
    explicit_s: float = 0.0
    explicit_q: float = 0.0
    self_n: float = 0.0
    self_s: float = 0.0
    self_q: float = 0.0
    implicit_n: float = 0.0
    implicit_s: float = 0.0
    implicit_q: float = 0.0
    regenerate_n: float = 0.0
    regenerate_s: float = 0.0
    copy_n: float = 0.0
    copy_s: float = 0.0
    continue_n: float = 0.0
    continue_s: float = 0.0
    abandon_n: float = 0.0
    abandon_s: float = 0.0
    decisions: float = 0.0
    calls: float = 0.0
    errors: float = 0.0
    latency_n: float = 0.0
    latency_ms_sum: float = 0.0


NOTHING = Evidence()
Cells: TypeAlias = Mapping[str, Evidence]
"""Evidence by model_id."""


@dataclass(frozen=True, slots=True)
class Weights:
    """What each kind of rating counts."""

    explicit: float
    self_eval: float
    implicit: float
    regenerate: float
    copy: float
    continued: float
    abandon: float

    def sums(self, evidence: Evidence) -> tuple[float, float]:
        """Weighted count and weighted sum of ratings."""
        n = (
            self.explicit * evidence.explicit_n
            + self.self_eval * evidence.self_n
            + self.implicit * evidence.implicit_n
            + self.regenerate * evidence.regenerate_n
            + self.copy * evidence.copy_n
            + self.continued * evidence.continue_n
            + self.abandon * evidence.abandon_n
        )
        s = (
            self.explicit * evidence.explicit_s
            + self.self_eval * evidence.self_s
            + self.implicit * evidence.implicit_s
            + self.regenerate * evidence.regenerate_s
            + self.copy * evidence.copy_s
            + self.continued * evidence.continue_s
            + self.abandon * evidence.abandon_s
        )
        # A vote that was taken back may leave a rounding error behind, which is no rating.
        return (n, s) if n > 1e-9 else (0.0, 0.0)


def weights(policy: RoutingPolicy) -> Weights:
    """The weights of a policy over the default ones."""
    named = policy.feedback_weights
    merged = {**DEFAULT_WEIGHTS, **dict.fromkeys(_IMPLIED, named.get("IMPLICIT", 0.3)), **named}
    return Weights(*(merged[name] for name in DEFAULT_WEIGHTS))


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


def pool(tasks: Mapping[str, Cells], weigh: Weights) -> Pool:
    """Mean ratings of tasks, shrunk towards 1/2, and the offsets of models from them."""
    means: dict[str, float] = {}
    totals: dict[str, tuple[float, float, float]] = {}
    for task, cells in tasks.items():
        sums = {model_id: weigh.sums(cell) for model_id, cell in cells.items()}
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Score:
    """A score by its terms. Mean and count are those of ``level``; ``task_rating_count`` is the tenant's."""

    priority_term: float
    experience_term: float = 0.0
    exploration_term: float = 0.0
    rating_mean: float | None = None
    rating_count: float = 0.0
    task_rating_count: float = 0.0
    level: Level = Level.PRIOR


Scorer: TypeAlias = Callable[[RoutingPolicy, Knowledge, Iterable[tuple[str, int]]], dict[str, Score]]
"""Scores for models given as (model_id, effective priority 0..100)."""


def score(policy: RoutingPolicy, knowledge: Knowledge, models: Iterable[tuple[str, int]]) -> dict[str, Score]:
    """Score models by the policy's way; what it leaves unset is as in DEFAULT_POLICY."""
    w_p = _or(policy.priority_weight, DEFAULT_POLICY.priority_weight)
    w_e = _or(policy.experience_weight, DEFAULT_POLICY.experience_weight)
    if policy.scoring is Scoring.SRS:
        return {model_id: _srs(w_p, w_e, knowledge, model_id, p / 100) for model_id, p in models}
    weigh = weights(policy)
    return {model_id: _pooled(w_p, w_e, weigh, knowledge, model_id, p / 100) for model_id, p in models}


def _srs(w_p: float, w_e: float, knowledge: Knowledge, model_id: str, p: float) -> Score:
    own = knowledge.agent_cells.get(model_id, NOTHING)
    if not own.raw_n:
        return Score(priority_term=p)
    mean = own.raw_s / own.raw_n
    return Score(
        priority_term=w_p * p,
        experience_term=w_e * mean,
        rating_mean=mean,
        rating_count=own.raw_n,
        task_rating_count=own.raw_n,
        level=Level.AGENT_TASK,
    )


def _pooled(w_p: float, w_e: float, weigh: Weights, knowledge: Knowledge, model_id: str, p: float) -> Score:
    own_n, own_s = weigh.sums(knowledge.agent_cells.get(model_id, NOTHING))
    task_n, task_s = weigh.sums(knowledge.task_cells.get(model_id, NOTHING))
    offset = knowledge.pool.offsets.get(model_id)
    prior = p
    if offset is not None:
        w_prior = PRIOR_RATINGS / (PRIOR_RATINGS + offset.ratings)
        typical = knowledge.pool.task_means.get(knowledge.task_type, 0.5) + offset.value
        prior = w_prior * p + (1 - w_prior) * min(max(typical, 0.0), 1.0)
    by_task = (task_s + TASK_RATINGS * prior) / (task_n + TASK_RATINGS)
    estimate = (own_s + AGENT_RATINGS * by_task) / (own_n + AGENT_RATINGS)
    if own_n:
        level, mean, count = Level.AGENT_TASK, own_s / own_n, own_n
    elif task_n:
        level, mean, count = Level.TENANT_TASK, task_s / task_n, task_n
    elif offset is not None:
        level, mean, count = Level.MODEL, offset.mean, offset.ratings
    else:
        return Score(priority_term=w_p * p, experience_term=w_e * estimate)
    return Score(
        priority_term=w_p * p,
        experience_term=w_e * estimate,
        rating_mean=mean,
        rating_count=count,
        task_rating_count=task_n,
        level=level,
    )


def _or(value: float | None, default: float | None) -> float:
    found = default if value is None else value
    assert found is not None
    return found
