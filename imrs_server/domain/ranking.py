"""From an agent, its models and the evidence to the ranked table that decisions read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from imrs_client.ranked import Policy, RankedTable
from imrs_server.domain import capsule, offer, scoring
from imrs_server.domain.agent import Agent
from imrs_server.domain.candidates import Candidates, Standing
from imrs_server.domain.cells import Floats, Numbers
from imrs_server.domain.evidence import DEFAULT_WEIGHTS
from imrs_server.domain.offer import Traits
from imrs_server.domain.provider import State
from imrs_server.domain.routing import CostPreference, Exploration, RoutingPolicy

if TYPE_CHECKING:
    from imrs_server.domain.offer import Offer
    from imrs_server.domain.scoring import Knowledge, Scorer, Scores

# A share of errors among fewer calls says nothing.
CALLS_TO_JUDGE = 10

# How often EPSILON chooses by chance where the policy does not say.
EXPLORATION_RATE = 0.05


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """All of an agent that does not depend on the task, but for its models. ``policy`` is merged over all
    levels.
    """

    agent: Agent
    policy: RoutingPolicy = field(default_factory=RoutingPolicy)
    default_model_id: str = ""
    preferred_model_ids: tuple[str, ...] = ()
    revision: int = 0


@dataclass(frozen=True, slots=True, eq=False)
class Lineup:
    """An agent's models as far as no evidence is asked: one entry an offer, priorities 0 to 100.

    ``numbers`` are those of the evidence; ``ties`` say which of two with equal scores goes first.
    """

    numbers: Numbers
    priorities: Numbers
    ties: Numbers
    traits: Sequence[Traits]

    @property
    def shares(self) -> Floats:
        """The priorities, 0 to 1."""
        found: Floats = self.priorities / 100
        return found


def lineup(agent: Agent, offers: Sequence[Offer], priorities: Sequence[int]) -> Lineup:
    """Of an agent's offers, each with its priority."""
    found = _traits(agent, offers)
    return Lineup(
        numbers=np.array([each.number for each in offers], np.int64),
        priorities=np.array(priorities, np.int64),
        ties=_tie_ranks(found),
        traits=found,
    )


def _traits(agent: Agent, offers: Sequence[Offer]) -> list[Traits]:
    """What each of an agent's offers is."""
    if agent.capsule is None and agent.state is State.ACTIVE:
        return [each.traits for each in offers]
    allowed = capsule.allowed(agent.capsule)
    return [
        offer.traits(agent, each, allowed(each.model.model_id, each.model.external_id)) for each in offers
    ]


def standing(
    policy: RoutingPolicy, models: Lineup, knowledge: Knowledge, scorer: Scorer = scoring.score
) -> Standing:
    """How models stand by what is known. Raises what the scorer raises."""
    scores = scorer(policy, knowledge, models.numbers, models.shares)
    return _standing(knowledge, models.numbers, scores, degraded=False)


def standing_by_priority(models: Lineup, knowledge: Knowledge) -> Standing:
    """How models stand by mere priority, for where ranking or detection failed."""
    scores = scoring.by_priority(models.shares)
    return _standing(knowledge, models.numbers, scores, degraded=True)


def order(found: Standing, ties: Numbers) -> Numbers:
    """The positions of the offers, best first, as in the table: by score, then the cheaper, then by
    model_id, so that ties never depend on chance.
    """
    scores = found.scores
    total = scores.priority_terms + scores.experience_terms + scores.exploration_terms
    return np.lexsort((ties, -total))


def _tie_ranks(models: Sequence[Traits]) -> Numbers:
    ties = [each.tie for each in models]
    ranks = np.empty(len(ties), np.int64)
    ranks[sorted(range(len(ties)), key=ties.__getitem__)] = np.arange(len(ties))
    return ranks


def candidates(models: Lineup, found: Standing) -> Candidates:
    """The models as they stand, best first."""
    return Candidates(models.traits, models.priorities, found, order(found, models.ties))


def table(subject: Subject, ranked: Candidates) -> RankedTable:
    """The table of an agent with these candidates."""
    agent, found = subject.agent, ranked.standing
    return RankedTable(
        revision=subject.revision,
        agent_id=agent.agent_id,
        task_type=found.task_type,
        candidates=ranked,
        made_columns=ranked.columns(),
        policy=decision_policy(subject.policy),
        default_model_id=subject.default_model_id,
        override_model_id=agent.override.model_id if agent.override else "",
        preferred_model_ids=subject.preferred_model_ids,
        fallback_model_ids=agent.fallback_model_ids,
        degraded=found.degraded,
    )


def _standing(knowledge: Knowledge, numbers: Numbers, scores: Scores, *, degraded: bool) -> Standing:
    """With how the tenant's calls for the task went."""
    calls = knowledge.task.figures(numbers, DEFAULT_WEIGHTS, knowledge.decay)
    timed, judged = calls.latency_n > 0, calls.calls >= CALLS_TO_JUDGE
    return Standing(
        task_type=knowledge.task_type,
        scores=scores,
        latencies_ms=np.where(timed, calls.latency_ms_sum / np.where(timed, calls.latency_n, 1), np.nan),
        error_rates=np.where(judged, calls.errors / np.where(judged, calls.calls, 1), np.nan),
        degraded=degraded,
    )


def decision_policy(policy: RoutingPolicy) -> Policy:
    """What of a merged policy a decision asks."""
    return Policy(
        similarity_margin=policy.similarity_margin or 0.0,
        cheaper_when_similar=policy.cost_preference is not CostPreference.NONE,
        session_affinity=policy.session_affinity,
        require_credentials=bool(policy.require_credentials),
        max_cost_tier=policy.max_cost_tier,
        max_latency_ms=policy.max_latency_ms,
        max_error_rate=policy.max_error_rate,
        exploration_rate=_rate(policy),
    )


def _rate(policy: RoutingPolicy) -> float:
    if policy.exploration is not Exploration.EPSILON:
        return 0.0
    return EXPLORATION_RATE if policy.exploration_rate is None else policy.exploration_rate
