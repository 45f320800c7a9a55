"""From an agent, its models and the evidence to the ranked table that decisions read."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from imrs_client.ranked import Candidate, Policy, RankedTable, RemovedBy
from imrs_server.domain import capsule, scoring
from imrs_server.domain.agent import Agent, AgentModel
from imrs_server.domain.cells import Floats
from imrs_server.domain.credential import CredentialPath
from imrs_server.domain.endpoint import Endpoint
from imrs_server.domain.evidence import DEFAULT_WEIGHTS
from imrs_server.domain.model import Lifecycle, Model, PriceState
from imrs_server.domain.provider import DataPolicy, Provider, State
from imrs_server.domain.routing import CostPreference, Exploration, RoutingPolicy
from imrs_server.domain.scoring import LEVELS, Knowledge, Scorer, Scores

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from decimal import Decimal

    from imrs_server.domain.cells import Numbers

# A share of errors among fewer calls says nothing.
CALLS_TO_JUDGE = 10

# How often EPSILON chooses by chance where the policy does not say.
EXPLORATION_RATE = 0.05

_PRICED = frozenset({PriceState.PRICE_KNOWN, PriceState.PRICE_FREE})


@dataclass(frozen=True, slots=True)
class Offer:
    """One model of an agent, with what the catalogue says of it.

    ``own_key`` is where the agent's own key for the provider lies, ``own_key_usable`` whether it is there.
    ``number`` is the model's in the evidence; ``endpoints`` are its places in the model pool.
    """

    agent_model: AgentModel
    model: Model
    provider: Provider
    own_key: CredentialPath | None = None
    own_key_usable: bool = True
    number: int = 0
    endpoints: tuple[Endpoint, ...] = ()

    @property
    def credentials_ok(self) -> bool:
        """Whether a call could be made. An own key that is gone is not replaced by the provider's."""
        if self.own_key is None or not self.provider.needs_key:
            return self.provider.credentials_ok
        return self.own_key_usable

    @property
    def api_key_vault_path(self) -> str:
        return self.provider.api_key_vault_path if self.own_key is None else self.own_key.shown

    @property
    def priority(self) -> int:
        override = self.agent_model.priority_override
        return self.model.priority if override is None else override

    @property
    def context_length(self) -> int | None:
        own = self.agent_model.context_length
        return self.model.context_length if own is None else own

    @property
    def prices_usd(self) -> tuple[Decimal | None, Decimal | None]:
        """Input and output price per 1M tokens: the agent's own, else the catalogue's."""
        own, model = self.agent_model, self.model
        return (
            model.input_price_usd if own.input_price_usd is None else own.input_price_usd,
            model.output_price_usd if own.output_price_usd is None else own.output_price_usd,
        )

    @property
    def blended_usd(self) -> float | None:
        """Price per 1M tokens, three of input to one of output; None where it cannot be trusted."""
        own, model = self.agent_model, self.model
        trusted = model.price_state in _PRICED
        prices = [
            price
            for price, mine in zip(self.prices_usd, (own.input_price_usd, own.output_price_usd), strict=True)
            if price is not None and (trusted or mine is not None)
        ]
        if len(prices) == 2:
            return _blended(*prices)
        return 0.0 if model.price_state is PriceState.PRICE_FREE else None


# Many agents have the same models.
@lru_cache(maxsize=65_536)
def _blended(input_usd: Decimal, output_usd: Decimal) -> float:
    return float(3 * input_usd + output_usd) / 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """All of an agent that does not depend on the task. ``policy`` is merged over all levels."""

    agent: Agent
    offers: tuple[Offer, ...]
    policy: RoutingPolicy = field(default_factory=RoutingPolicy)
    default_model_id: str = ""
    preferred_model_ids: tuple[str, ...] = ()
    revision: int = 0


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Standing:
    """How the models of an agent stand at a task: one entry an offer, NaN where nothing is known."""

    task_type: str
    scores: Scores
    latencies_ms: Floats
    error_rates: Floats
    degraded: bool = False


class Lineup(NamedTuple):
    """What scores are made of beside the evidence: one entry an offer, priorities 0 to 1."""

    numbers: Numbers
    priorities: Floats


def lineup(offers: Sequence[Offer]) -> Lineup:
    numbers = np.array([each.number for each in offers], np.int64)
    return Lineup(numbers, np.array([each.priority for each in offers], np.float64) / 100)


def standing(
    policy: RoutingPolicy, models: Lineup, knowledge: Knowledge, scorer: Scorer = scoring.score
) -> Standing:
    """How models stand by what is known. Raises what the scorer raises."""
    scores = scorer(policy, knowledge, *models)
    return _standing(knowledge, models.numbers, scores, degraded=False)


def standing_by_priority(models: Lineup, knowledge: Knowledge) -> Standing:
    """How models stand by mere priority, for where ranking or detection failed."""
    scores = scoring.by_priority(models.priorities)
    return _standing(knowledge, models.numbers, scores, degraded=True)


def order(found: Standing, ties: Numbers) -> Numbers:
    """The positions of the offers, best first, as in the table; ``ties`` are of ``tie_ranks``."""
    scores = found.scores
    total = scores.priority_terms + scores.experience_terms + scores.exploration_terms
    return np.lexsort((ties, -total))


def tie_ranks(offers: Sequence[Offer]) -> Numbers:
    """Which of two offers with equal scores goes first."""
    costs = [float("inf") if (cost := each.blended_usd) is None else cost for each in offers]
    names = [each.model.model_id for each in offers]
    ranks = np.empty(len(offers), np.int64)
    ranks[sorted(range(len(offers)), key=lambda i: (costs[i], names[i]))] = np.arange(len(offers))
    return ranks


def build(subject: Subject, knowledge: Knowledge, scorer: Scorer = scoring.score) -> RankedTable:
    """The table of an agent and a task, best first. Raises what the scorer raises."""
    return table(subject, standing(subject.policy, lineup(subject.offers), knowledge, scorer))


def degraded(subject: Subject, knowledge: Knowledge) -> RankedTable:
    """The table in mere order of priority, for where ranking or detection failed."""
    return table(subject, standing_by_priority(lineup(subject.offers), knowledge))


def table(subject: Subject, found: Standing) -> RankedTable:
    """The table in which models stand so, best first."""
    agent = subject.agent
    allowed = capsule.allowed(agent.capsule)
    candidates = [
        _candidate(agent, offer, allowed(offer.model.model_id, offer.model.external_id), known)
        for offer, known in zip(subject.offers, _known(found), strict=True)
    ]
    return RankedTable(
        revision=subject.revision,
        agent_id=agent.agent_id,
        task_type=found.task_type,
        candidates=tuple(ordered(candidates)),
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


def _known(found: Standing) -> Iterator[dict[str, Any]]:
    """Model by model, what a candidate says of its score and of how its calls went."""
    scores = found.scores
    columns = {
        "latency_ms": _told(found.latencies_ms),
        "error_rate": _told(found.error_rates),
        "priority_term": scores.priority_terms.tolist(),
        "experience_term": scores.experience_terms.tolist(),
        "exploration_term": scores.exploration_terms.tolist(),
        "rating_mean": _told(scores.rating_means),
        "rating_count": scores.rating_counts.tolist(),
        "task_rating_count": scores.task_rating_counts.tolist(),
        "level": [LEVELS[each] for each in scores.levels.tolist()],
        "estimate": scores.estimates.tolist(),
        "deviation": scores.deviations.tolist(),
    }
    for row in zip(*columns.values(), strict=True):
        yield dict(zip(columns, row, strict=True))


def _told(values: Floats) -> list[float | None]:
    unknown = np.isnan(values).tolist()
    return [None if nothing else value for value, nothing in zip(values.tolist(), unknown, strict=True)]


def ordered(candidates: Iterable[Candidate]) -> list[Candidate]:
    """Best first: by score, then the cheaper, then by model_id, so that ties never depend on chance."""
    return sorted(
        candidates,
        key=lambda each: (
            -each.score,
            float("inf") if each.cost_usd is None else each.cost_usd,
            each.model_id,
        ),
    )


def _candidate(agent: Agent, offer: Offer, roles: capsule.Roles, known: dict[str, Any]) -> Candidate:
    model, own = offer.model, offer.agent_model
    data = offer.provider.data_policy or DataPolicy()
    return Candidate(
        model_id=model.model_id,
        external_id=model.external_id,
        model_type=model.model_type,
        capabilities=frozenset(model.capabilities),
        domains=frozenset(model.domains),
        context_length=offer.context_length,
        priority=offer.priority,
        cost_tier=model.cost_tier,
        cost_usd=offer.blended_usd,
        state_removal=_removal(agent, offer),
        capsule_roles=roles,
        allowed_roles=frozenset(own.allowed_roles),
        regions=frozenset(data.regions),
        trains_on_data=data.trains_on_data,
        retains_data=data.retains_data,
        credentials_ok=offer.credentials_ok,
        fallback_model_ids=own.fallback_model_ids,
        **known,
    )


def _removal(agent: Agent, offer: Offer) -> tuple[RemovedBy, str] | None:
    model, provider = offer.model, offer.provider
    if agent.state is not State.ACTIVE:
        return RemovedBy.DISABLED, "the agent is disabled"
    if not offer.agent_model.enabled:
        return RemovedBy.DISABLED, "not enabled for the agent"
    if provider.state is not State.ACTIVE:
        return RemovedBy.PROVIDER, f"provider {provider.provider_id} is {provider.state.lower()}"
    if model.delete_time is not None:
        return RemovedBy.UNAVAILABLE, "deleted"
    if model.lifecycle is Lifecycle.RETIRED:
        return RemovedBy.UNAVAILABLE, "retired"
    return None if model.available else (RemovedBy.UNAVAILABLE, "not available")


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
