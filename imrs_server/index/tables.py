"""The tables of one agent, each made on first use.

Nothing here takes a lock: what two threads make at once is equal, and one of the two stays.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from time import thread_time
from typing import TYPE_CHECKING, Any

import structlog

from imrs_client.ids import new_id
from imrs_client.limits import UNLIMITED, Limits
from imrs_server.domain import parameters, ranking, routing, scoring
from imrs_server.domain.agent import Agent
from imrs_server.domain.cells import NO_CELLS, Cells
from imrs_server.domain.defaults import Defaults
from imrs_server.domain.evidence import MAX_TASK_TYPES, OTHER_TASKS, weights
from imrs_server.domain.offer import Offer
from imrs_server.domain.parameters import Parameters
from imrs_server.domain.preference import OTHER_CLASSES, Preference
from imrs_server.domain.ranking import Lineup, Subject
from imrs_server.domain.routing import DEFAULT_POLICY, RoutingPolicy
from imrs_server.domain.scoring import Knowledge, Scorer
from imrs_server.index.learned import NOTHING_LEARNED, Learned
from imrs_server.index.table import Table

if TYPE_CHECKING:
    from imrs_client.ranked import Policy
    from imrs_server.domain.candidates import Candidates, Standing

log = structlog.get_logger()

# Task types are the callers' words: more tables than this make an agent's start afresh.
MAX_TABLES = 64


@dataclass(slots=True)
class Effort:
    """How long it took to make tables again because the evidence had moved. Not exact: two threads may add at
    once.
    """

    seconds: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Sources:
    """What the tables of an agent are made from, at a revision.

    ``priorities`` are those of the offers, 0 to 100; ``levels`` the defaults, the global ones first; ``own``
    the evidence of the agent by task type, and ``learned`` its tenant's.
    """

    revision: int
    agent: Agent
    offers: Sequence[Offer]
    priorities: Sequence[int]
    levels: Sequence[Defaults] = ()
    preferences: Mapping[str, Preference] = field(default_factory=dict)
    own: Mapping[str, Cells] = field(default_factory=dict)
    learned: Learned = NOTHING_LEARNED
    scorer: Scorer = scoring.score
    effort: Effort = field(default_factory=Effort, compare=False, repr=False)

    def configured_like(self, other: Sources) -> bool:
        """Whether nothing but evidence tells the two apart."""
        return (
            self.agent == other.agent
            and self.offers == other.offers
            and self.priorities == other.priorities
            and self.levels == other.levels
            and self.preferences == other.preferences
        )


@dataclass(frozen=True, slots=True)
class Basis:
    """What configuration alone makes of the sources of an agent's tables."""

    common: Parameters
    policy: RoutingPolicy
    lineup: Lineup


def _basis(sources: Sources) -> Basis:
    policies = (each.routing for each in sources.levels)
    return Basis(
        common=parameters.merge(*(each.parameters for each in sources.levels)),
        policy=routing.merge(DEFAULT_POLICY, *policies, sources.agent.routing),
        lineup=ranking.lineup(sources.agent, sources.offers, sources.priorities),
    )


class AgentTables:
    """All tables of an agent, as its sources at one revision make them, and what limits its models."""

    __slots__ = ("_basis", "_sources", "_tables", "agent", "limits")

    def __init__(self, sources: Sources, basis: Basis | None = None, *, limits: Limits = UNLIMITED) -> None:
        """``basis`` is that of sources that differ in evidence at most."""
        self.agent = sources.agent
        self.limits = limits
        self._sources = sources
        self._basis = basis or _basis(sources)
        self._tables: dict[tuple[str, str, bool], Table] = {}

    @property
    def sources(self) -> Sources:
        """What they are made from."""
        return self._sources

    def renewed(self, **evidence: Any) -> AgentTables:
        """The tables of the same sources but for the evidence, none of them made yet."""
        return AgentTables(replace(self._sources, **evidence), self._basis, limits=self.limits)

    def limited(self, limits: Limits) -> AgentTables:
        """The same tables under other limits."""
        if limits == self.limits:
            return self
        found = AgentTables(self._sources, self._basis, limits=limits)
        found._tables = self._tables  # what is made of it by either serves both
        return found

    @property
    def size(self) -> int:
        """How many models and candidates it holds in all."""
        return (1 + len(self._tables)) * len(self._sources.offers)

    @property
    def offers(self) -> Sequence[Offer]:
        """The agent's models, whether or not they can serve."""
        return self._sources.offers

    def names(self, model_ids: frozenset[str]) -> bool:
        """Whether one of these models is the agent's."""
        return any(each.model.model_id in model_ids for each in self._sources.offers)

    def table(self, task_type: str, agent_class: str = "", *, degraded: bool = False) -> Table:
        """The table for a task; ``degraded`` asks for mere priority order.

        ``agent_class`` counts where the agent itself has none. Where ranking fails, the error is logged and
        the table is a degraded one.
        """
        agent_class = self.agent.agent_class or agent_class
        if agent_class not in self._sources.preferences:
            agent_class = OTHER_CLASSES if agent_class else ""
        key = (self._known_task(task_type), agent_class, degraded)
        found = self._tables.get(key)
        if found is None:
            if len(self._tables) >= MAX_TABLES:
                self._tables.clear()
            start = thread_time()
            found = self._tables[key] = self._make(*key)
            self._sources.effort.seconds += thread_time() - start
        return found

    @property
    def lineup(self) -> Lineup:
        """The models, whatever the task."""
        return self._basis.lineup

    def standing(self, task_type: str) -> Standing:
        """How the models stand in the table for a task, without that table."""
        return self._standing(self._basis.policy, self._known_task(task_type))

    def _known_task(self, task_type: str) -> str:
        """Without evidence all tasks have one table, or invented task types would fill the memory."""
        tasks = self._sources.learned.tasks
        if task_type in tasks:
            return task_type
        return OTHER_TASKS if len(tasks) >= MAX_TASK_TYPES else ""

    def _subject(self, agent_class: str) -> Subject:
        preference = self._sources.preferences.get(agent_class)
        return Subject(
            agent=self.agent,
            policy=self._basis.policy,
            default_model_id=self.default_model_id,
            preferred_model_ids=preference.model_ids if preference else (),
            revision=self._sources.revision,
        )

    def _make(self, task_type: str, agent_class: str, degraded: bool) -> Table:
        sources, subject = self._sources, self._subject(agent_class)
        preference = sources.preferences.get(agent_class)
        own = self.agent.parameters
        around = parameters.merge(preference.parameters, own) if preference else own
        basis = self._basis
        found = self._candidates(basis.policy, task_type, degraded=degraded)
        ranked = ranking.table(subject, found)
        shadow = None
        if basis.policy.shadow is not None and not ranked.degraded:
            policy = replace(routing.merge(basis.policy, basis.policy.shadow), shadow=None)
            shadow = ranking.table(replace(subject, policy=policy), self._candidates(policy, task_type))
        return Table(
            self.agent,
            ranked,
            lambda i: sources.offers[found.origin(i)],
            below=basis.common,
            around=around,
            shadow=shadow,
        )

    @property
    def policy(self) -> Policy:
        """What of the merged policy a decision asks."""
        return ranking.decision_policy(self._basis.policy)

    @property
    def default_model_id(self) -> str:
        """The agent's, else the one of the closest level that names one."""
        named = (each.default_model_id for each in reversed(self._sources.levels) if each.default_model_id)
        return self.agent.default_model_id or next(named, "")

    def _candidates(self, policy: RoutingPolicy, task_type: str, *, degraded: bool = False) -> Candidates:
        standing = self._standing(policy, task_type, degraded=degraded)
        return ranking.candidates(self._basis.lineup, standing)

    def _standing(self, policy: RoutingPolicy, task_type: str, *, degraded: bool = False) -> Standing:
        sources = self._sources
        knowledge = Knowledge(
            task_type=task_type,
            own=sources.own.get(task_type, NO_CELLS),
            task=sources.learned.tasks.get(task_type, NO_CELLS),
            decay=sources.learned.decay,
        )
        if not degraded:
            try:
                known = replace(knowledge, pool=sources.learned.pool(weights(policy)))
                return ranking.standing(policy, self._basis.lineup, known, sources.scorer)
            except Exception:
                log.exception(
                    "ranking.failed",
                    error_id=str(new_id()),
                    tenant=str(self.agent.tenant_id),
                    agent_id=self.agent.agent_id,
                    task_type=task_type,
                )
        return ranking.standing_by_priority(self._basis.lineup, knowledge)
