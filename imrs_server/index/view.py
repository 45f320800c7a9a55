"""All that decisions for one agent need, taken out of a state: what a client is sent to decide by itself."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from imrs_client import tasks
from imrs_client.limits import UNLIMITED, Limits
from imrs_client.ranked import Candidate, Policy
from imrs_client.tasks import Rules
from imrs_server.domain import ranking
from imrs_server.domain.agent import Agent
from imrs_server.domain.cells import Floats, Numbers
from imrs_server.domain.decision import SelectedModel
from imrs_server.domain.defaults import Scope
from imrs_server.domain.parameters import UNSET, Parameters
from imrs_server.domain.preference import OTHER_CLASSES, Preference

if TYPE_CHECKING:
    from collections.abc import Iterable

    from imrs_server.domain.candidates import Standing
    from imrs_server.index.tables import AgentTables, Sources

OTHERS = "*"
"""Names the table of all task types without one of their own."""

# Tables of more candidates than this in all are left to the server.
MAX_CANDIDATES = 200_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A model of the agent.

    Of ``candidate`` only what does not depend on the task counts, and of ``selected`` neither score nor
    parameters: ``own`` and ``agent_own`` are the model's and the agent-model's layer.
    """

    candidate: Candidate
    selected: SelectedModel
    own: Parameters = UNSET
    agent_own: Parameters = UNSET


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What holds for all tables.

    ``rules`` are those over the built-in ones, ``layers`` the parameters by layer; ``preferences`` are the
    one of the agent's class or, where it has none, those that requests may name.
    """

    agent: Agent
    policy: Policy
    default_model_id: str = ""
    rules: Rules = field(default_factory=Rules)
    layers: Mapping[str, Parameters] = field(default_factory=dict)
    preferences: tuple[Preference, ...] = ()
    omitted_task_types: tuple[str, ...] = ()
    limits: Limits = UNLIMITED


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Columns:
    """A table as columns, one entry a candidate, the best first; NaN is not known.

    ``numbers`` are positions among the agent's model_ids in ascending order, ``levels`` those in LEVELS.
    ``chance`` says that exploration draws from estimates and deviations.
    """

    numbers: Numbers
    priority_terms: Floats
    experience_terms: Floats
    exploration_terms: Floats
    rating_means: Floats
    rating_counts: Floats
    task_rating_counts: Floats
    levels: Numbers
    estimates: Floats
    deviations: Floats
    latencies_ms: Floats
    error_rates: Floats
    chance: bool = False
    degraded: bool = False


def configured_alike(one: AgentTables, other: AgentTables) -> bool:
    """Whether nothing but evidence tells the two apart."""
    return one.limits == other.limits and one.sources.configured_like(other.sources)


def learned_alike(one: AgentTables, other: AgentTables) -> bool:
    """Whether the two go by the same evidence; False where that is not certain."""
    pairs = (
        (one.sources.own, other.sources.own),
        (one.sources.learned.tasks, other.sources.learned.tasks),
    )
    return all(mine is theirs or not (mine or theirs) for mine, theirs in pairs)


def entries(tables: AgentTables) -> list[Entry]:
    """The agent's models."""
    common = tables.table("")
    offers = {each.model.model_id: each for each in tables.sources.offers}
    return [
        Entry(
            candidate=candidate,
            selected=common.model(position),
            own=offers[candidate.model_id].model.parameters,
            agent_own=offers[candidate.model_id].agent_model.parameters,
        )
        for position, candidate in enumerate(common.ranked.candidates)
    ]


def settings(tables: AgentTables) -> Settings:
    """The agent's settings, every layer told apart or merged."""
    sources, agent = tables.sources, tables.agent
    names = {Scope.GLOBAL: "global", Scope.TENANT: "tenant"}
    layers = {names[each.scope]: each.parameters for each in sources.levels}
    _, omitted = task_types(sources)
    return Settings(
        agent=agent,
        policy=tables.policy,
        default_model_id=tables.default_model_id,
        rules=tasks.merge(*(each.task_rules for each in reversed(sources.levels))),
        layers={**layers, "agent": agent.parameters},
        preferences=tuple(_preferences(sources)),
        omitted_task_types=omitted,
        limits=tables.limits,
    )


def ranked(tables: AgentTables) -> dict[str, Columns]:
    """The tables by task type, ``*`` for those without one of their own."""
    offers = tables.sources.offers
    names = [each.model.model_id for each in offers]
    numbers = np.empty(len(offers), np.int64)
    numbers[sorted(range(len(offers)), key=names.__getitem__)] = np.arange(len(offers))
    ties, chance = tables.lineup.ties, tables.policy.exploration_rate > 0
    sent, _ = task_types(tables.sources)
    found = {OTHERS: tables.standing("")} | {name: tables.standing(name) for name in sent}
    return {name: _columns(each, ranking.order(each, ties), numbers, chance) for name, each in found.items()}


def task_types(sources: Sources) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The task types with a table of their own: those that are sent, and those that would be too much."""
    known = sorted(sources.learned.tasks, key=lambda each: (each not in sources.own, each))
    most = max(0, MAX_CANDIDATES // max(1, len(sources.offers)) - 1)
    return tuple(known[:most]), tuple(sorted(known[most:]))


def _columns(found: Standing, order: Numbers, numbers: Numbers, chance: bool) -> Columns:
    scores = found.scores
    return Columns(
        numbers=numbers[order],
        priority_terms=scores.priority_terms[order],
        experience_terms=scores.experience_terms[order],
        exploration_terms=scores.exploration_terms[order],
        rating_means=scores.rating_means[order],
        rating_counts=scores.rating_counts[order],
        task_rating_counts=scores.task_rating_counts[order],
        levels=scores.levels[order],
        estimates=scores.estimates[order],
        deviations=scores.deviations[order],
        latencies_ms=found.latencies_ms[order],
        error_rates=found.error_rates[order],
        chance=chance,
        degraded=found.degraded,
    )


def _preferences(sources: Sources) -> Iterable[Preference]:
    known, agent_class = sources.preferences, sources.agent.agent_class
    if not agent_class:
        return [known[name] for name in sorted(known)]
    found = known.get(agent_class) or known.get(OTHER_CLASSES)
    return [] if found is None else [found]
