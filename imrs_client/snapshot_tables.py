"""From the messages of a snapshot to what a decision reads, and to the answers made from it."""

from __future__ import annotations

from itertools import repeat
from math import nan
from typing import TYPE_CHECKING, Any

from imrs_client import v1 as pb
from imrs_client.limits import UNLIMITED, Budget, Cooling, Funds, Limits
from imrs_client.parameters import resolve
from imrs_client.ranked import Candidate, Level, Policy, RankedTable, RemovedBy

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

_NO_PREFERENCE = pb.Preference()
_NO_PARAMETERS = pb.Parameters()


def _names(enum: Any) -> dict[int, str]:
    return {each.number: each.name for each in enum.DESCRIPTOR.values if each.number}


_TYPES = _names(pb.Model.Type)
_TIERS = _names(pb.Model.CostTier)
_LEVELS = {number: Level(name) for number, name in _names(pb.CandidateReport.Level).items()}
_REMOVALS = {number: RemovedBy(name) for number, name in _names(pb.CandidateReport.RemovedBy).items()}


class Table:
    """A ranked table of a snapshot, and the answers made from its candidates."""

    __slots__ = ("_answers", "_layers", "_models", "ranked")

    def __init__(
        self,
        ranked: RankedTable,
        models: Mapping[str, pb.SnapshotModel],
        below: Sequence[pb.Parameters],
        around: Sequence[pb.Parameters],
    ) -> None:
        """``below`` are the layers of parameters under the model's, ``around`` those over it."""
        self.ranked = ranked
        self._models = models
        self._layers = (below, around)
        self._answers: dict[int, pb.SelectedModel] = {}

    def answer(self, position: int, parameters: pb.Parameters | None = None) -> pb.SelectedModel:
        """The candidate at a position, with what Route would say of it; ``parameters`` are the request's.

        Without those the same message is handed out again: it is to be copied, not changed.
        """
        found = self._answers.get(position)
        if found is None:
            found = self._answers[position] = self._make(self.ranked.candidates[position])
        if parameters is None:
            return found
        copy = pb.SelectedModel()
        copy.CopyFrom(found)
        copy.parameters.CopyFrom(resolve(found.parameters, parameters))
        return copy

    def _make(self, candidate: Candidate) -> pb.SelectedModel:
        known = self._models[candidate.model_id]
        below, around = self._layers
        made = pb.SelectedModel()
        made.CopyFrom(known.model)
        made.score = candidate.score
        layers = (*below, known.model.parameters, *around, known.agent_parameters)
        made.parameters.CopyFrom(resolve(*layers))
        return made


def policy(told: pb.RoutingPolicy) -> Policy:
    """What of the agent's policy a decision asks."""
    given = told.HasField
    chance = told.exploration == pb.RoutingPolicy.EPSILON
    return Policy(
        similarity_margin=told.similarity_margin,
        cheaper_when_similar=told.cost_preference != pb.RoutingPolicy.NONE,
        session_affinity=told.session_affinity if given("session_affinity") else None,
        require_credentials=told.require_credentials,
        max_cost_tier=_TIERS.get(told.max_cost_tier),
        max_latency_ms=told.max_latency_ms if given("max_latency_ms") else None,
        max_error_rate=told.max_error_rate if given("max_error_rate") else None,
        exploration_rate=told.exploration_rate if chance else 0.0,
    )


def limits(told: pb.SnapshotAgent) -> Limits:
    """What keeps the agent's models from requests for a while."""
    if not told.HasField("limits"):
        return UNLIMITED
    cooling = {model_id: Cooling(each.detail, each.share) for model_id, each in told.limits.cooling.items()}
    budget = None
    if told.limits.HasField("budget"):
        known = told.limits.budget
        budget = Budget(Funds.SPENT if known.spent else Funds.SPARING, known.detail, known.keeps_free)
    return Limits(cooling, budget)


def known_of(told: pb.SnapshotModel) -> dict[str, Any]:
    """The fields of a Candidate that do not depend on the task."""
    model, data = told.model, told.data_policy
    given = told.HasField
    model_type, tier = _TYPES.get(told.model_type), _TIERS.get(model.cost_tier)
    removal = None
    if told.removed_by:
        removal = (_REMOVALS.get(told.removed_by, RemovedBy.UNAVAILABLE), told.removed_detail)
    elif model_type is None or tier is None:
        removal = (RemovedBy.UNAVAILABLE, "of a kind that this client does not know")
    return {
        "model_id": model.model_id,
        "external_id": model.external_id,
        "model_type": model_type or "CHAT",
        "capabilities": frozenset(model.capabilities),
        "domains": frozenset(told.domains),
        "context_length": told.context_length if given("context_length") else None,
        "priority": model.priority,
        "cost_tier": tier or "PREMIUM",
        "cost_usd": told.comparable_cost if given("comparable_cost") else None,
        "state_removal": removal,
        "capsule_roles": frozenset(told.capsule_roles.values) if given("capsule_roles") else None,
        "allowed_roles": frozenset(told.allowed_roles),
        "regions": frozenset(data.regions),
        "trains_on_data": data.trains_on_data if data.HasField("trains_on_data") else None,
        "retains_data": data.retains_data if data.HasField("retains_data") else None,
        "credentials_ok": model.credentials_ok,
        "fallback_model_ids": listed(told, "fallback_model_ids"),
    }


def candidates(table: pb.SnapshotTable, known: Sequence[Mapping[str, Any]]) -> tuple[Candidate, ...]:
    """The candidates of a table; ``known`` has, by number, what does not depend on the task."""
    columns: Iterable[tuple[Any, ...]] = zip(
        table.numbers,
        table.priority_terms,
        table.experience_terms,
        table.exploration_terms or repeat(0.0),
        map(_told, table.rating_means) if table.rating_means else repeat(None),
        table.rating_counts or repeat(0.0),
        table.task_rating_counts or repeat(0.0),
        table.levels or repeat(pb.CandidateReport.PRIOR),
        table.estimates or repeat(0.0),
        table.deviations or repeat(0.5),
        map(_told, table.latencies_ms) if table.latencies_ms else repeat(None),
        map(_told, table.error_rates) if table.error_rates else repeat(None),
        strict=False,
    )
    return tuple(
        Candidate(
            **known[number],
            priority_term=priority_term,
            experience_term=experience_term,
            exploration_term=exploration_term,
            rating_mean=rating_mean,
            rating_count=rating_count,
            task_rating_count=task_rating_count,
            level=_LEVELS.get(level, Level.PRIOR),
            estimate=estimate,
            deviation=deviation,
            latency_ms=latency_ms,
            error_rate=error_rate,
        )
        for (
            number,
            priority_term,
            experience_term,
            exploration_term,
            rating_mean,
            rating_count,
            task_rating_count,
            level,
            estimate,
            deviation,
            latency_ms,
            error_rate,
        ) in columns
    )


# What a column says of candidates where it is empty; the first are never.
_FULL = ("scores", "priority_terms", "experience_terms", "estimates", "deviations")
_DEFAULTS: dict[str, float] = dict.fromkeys(_FULL, 0.0) | {
    "exploration_terms": 0.0,
    "rating_means": nan,
    "rating_counts": 0.0,
    "levels": pb.CandidateReport.PRIOR,
    "task_rating_counts": 0.0,
    "latencies_ms": nan,
    "error_rates": nan,
}


def patched(before: pb.SnapshotTable, patch: pb.SnapshotTable) -> pb.SnapshotTable:
    """The table that a patch makes of the one before."""
    made = pb.SnapshotTable(
        task_type=patch.task_type, degraded=patch.degraded, numbers=patch.numbers or before.numbers
    )
    at = {number: position for position, number in enumerate(before.numbers)}
    changed = [at[number] for number in patch.changed]
    order = [at[number] for number in made.numbers]
    for name, default in _DEFAULTS.items():
        old, new = getattr(before, name), getattr(patch, name)
        if not (old or new):
            continue
        values = list(old) or [default] * len(order)
        for position, value in zip(changed, new or repeat(default), strict=False):
            values[position] = value
        if name in _FULL or any(value != default and value == value for value in values):  # noqa: PLR0124
            getattr(made, name).extend([values[position] for position in order])
    return made


def preference(agent: pb.SnapshotAgent, agent_class: str) -> pb.Preference:
    """The preference that holds for a request; ``agent_class`` counts where the agent itself has none."""
    if agent.agent_class:
        return agent.preference
    found = {each.agent_class: each for each in agent.class_preferences} if agent_class else {}
    return found.get(agent_class) or found.get("*") or _NO_PREFERENCE


def layers(
    agent: pb.SnapshotAgent, preferred: pb.Preference
) -> tuple[Sequence[pb.Parameters], Sequence[pb.Parameters]]:
    """The layers of parameters under the model's, and those over it."""
    named = agent.parameters
    below = [named[each] for each in ("global", "tenant") if each in named]
    return below, [preferred.parameters, named.get("agent", _NO_PARAMETERS)]


def listed(message: Any, field: str) -> tuple[str, ...] | None:
    """The values of a StringList; None where it is not set, as opposed to set and empty."""
    return tuple(getattr(message, field).values) if message.HasField(field) else None


def _told(value: float) -> float | None:
    return None if value != value else value  # noqa: PLR0124  (only NaN differs from itself)
