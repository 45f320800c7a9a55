"""What the index knows at one revision."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from types import MappingProxyType
from typing import TYPE_CHECKING, Any
from uuid import UUID

from imrs_client import tasks
from imrs_client.tasks import SRS_RULES, Rules
from imrs_server.domain import routing, scoring
from imrs_server.domain.breaker import Breaker, Subject
from imrs_server.domain.cells import Cells
from imrs_server.domain.decision import Decided, RouteQuery
from imrs_server.domain.defaults import Defaults
from imrs_server.domain.endpoint import Endpoint
from imrs_server.domain.model import Model
from imrs_server.domain.preference import Preference
from imrs_server.domain.principal import Principal
from imrs_server.domain.provider import Provider
from imrs_server.domain.routing import DEFAULT_POLICY
from imrs_server.domain.scoring import Scorer
from imrs_server.domain.vault_view import NEVER_LOOKED, VaultView
from imrs_server.index import learned, rows
from imrs_server.index.learned import Learned
from imrs_server.index.limits import NO_LIMITS, AllLimits
from imrs_server.index.offers import Catalogue, Shared
from imrs_server.index.rows import Enrolled, Numbered, Shaped
from imrs_server.index.tables import AgentTables, Effort, Sources
from imrs_server.storage.index import Key

if TYPE_CHECKING:
    from imrs_server.domain.credential import CredentialPath

# Beyond this the oldest tables are made again when they are asked for. One takes a quarter of a kilobyte.
MAX_CANDIDATES = 1_000_000
# An answer with its message takes a few kilobytes.
MAX_DECIDED = 8192

_NO_KEYS: Mapping[str, Any] = MappingProxyType({})


@dataclass(slots=True)
class Made:
    """What was made from a state: only ever added to, entry by entry. A lost entry is made again.

    ``outdated`` are agents of whom nothing but the evidence has changed since. At ``enough`` agents their
    size is looked at.
    """

    agents: dict[Key, AgentTables] = field(default_factory=dict)
    outdated: dict[Key, AgentTables] = field(default_factory=dict)
    learned: dict[UUID, Learned] = field(default_factory=dict)
    rules: dict[UUID, Rules] = field(default_factory=dict)
    decided: dict[tuple[int, int], tuple[Principal, Decided]] = field(default_factory=dict)
    enough: int = 64
    effort: Effort = field(default_factory=Effort)
    shared: Shared = field(default_factory=Shared)


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """All that Route needs. Equal revisions of one epoch, and equal views of Vault, mean equal answers."""

    revision: int
    epoch: UUID
    providers: Mapping[str, Provider] = field(default_factory=dict)
    models: Shaped[str, Any, Model] = field(default_factory=partial(rows.given, {}))
    agents: Shaped[Key, Any, Enrolled] = field(default_factory=partial(rows.given, {}))
    preferences: Mapping[str, Preference] = field(default_factory=dict)
    defaults: Mapping[UUID | None, Defaults] = field(default_factory=dict)
    endpoints: Mapping[str, tuple[Endpoint, ...]] = field(default_factory=dict)
    """Places of the model pool, by model_id."""
    evidence: Mapping[Key, Mapping[str, Cells]] = field(default_factory=dict)
    numbered: Numbered = field(default_factory=Numbered, compare=False, repr=False)
    revoked: frozenset[str] = frozenset()
    """Ids of tokens that are revoked and not yet expired."""
    limits: AllLimits = NO_LIMITS
    breakers: Mapping[Subject, Breaker] = field(default_factory=dict)
    vault: VaultView = NEVER_LOOKED
    scorer: Scorer = scoring.score
    made: Made = field(default_factory=Made, compare=False, repr=False)

    @property
    def catalogue(self) -> Catalogue:
        """What offers are made from."""
        return Catalogue(
            self.models, self.numbered, self.endpoints, self.providers, self.vault, self.made.shared
        )

    def agent(self, tenant_id: UUID, agent_id: str) -> AgentTables | None:
        """The tables of an agent; None where the tenant has no such agent."""
        key = Key(tenant_id, agent_id)
        found = self.made.agents.get(key)
        if found is None:
            enrolled = self.agents.get(key)
            found = None if enrolled is None else self._keep(key, self._tables(key, enrolled))
        return found

    def recall(self, who: Principal, request: RouteQuery) -> Decided | None:
        """What this very request of somebody was given before; None where that is not known."""
        found = self.made.decided.get((id(who), id(request))) if request.repeated else None
        return found[1] if found and found[0] is who and found[1].request is request else None

    def remember(self, who: Principal, tables: AgentTables, decided: Decided) -> None:
        """Keep what a repeated request was given, unless chance plays a part."""
        known = self.made.decided
        if decided.request.repeated and not (tables.policy.exploration_rate or tables.limits.draws):
            if len(known) >= MAX_DECIDED:
                known.clear()
            known[id(who), id(decided.request)] = who, decided

    def rules(self, tenant_id: UUID) -> Rules:
        """The rules of task detection: the tenant's over the global ones over the built-in ones."""
        found = self.made.rules.get(tenant_id)
        if found is None:
            levels = [each.task_rules for each in reversed(self._levels(tenant_id))]
            found = self.made.rules[tenant_id] = tasks.merge(*levels, SRS_RULES)
        return found

    def key_version(self, path: CredentialPath) -> int | None:
        """The version of a key as the database notes it; None where it notes none."""
        if path.tenant_id is None or path.agent_id is None:
            provider = self.providers.get(path.provider_id)
            return provider.key_version if provider else None
        enrolled = self.agents.get(Key(path.tenant_id, path.agent_id))
        own = enrolled.keys if enrolled else ()
        return next((each.key_version for each in own if each.provider_id == path.provider_id), None)

    def configured_like(self, other: State) -> bool:
        """Whether nothing but evidence and tokens can tell the two apart; False where that is not certain."""
        return (
            self.epoch == other.epoch
            and self.vault is other.vault
            and self.providers is other.providers
            and self.models is other.models
            and self.agents is other.agents
            and self.preferences is other.preferences
            and self.defaults is other.defaults
            and self.limits is other.limits
            and self.endpoints is other.endpoints
        )

    def seeing(self, vault: VaultView) -> State:
        """The same revision, with another view of Vault."""
        # Copied, because readers of this state still add to theirs.
        made = Made(learned=dict(self.made.learned), rules=dict(self.made.rules))
        return replace(self, vault=vault, made=made)

    def _keep(self, key: Key, tables: AgentTables) -> AgentTables:
        made, agents = self.made, self.made.agents
        agents[key] = tables
        if len(agents) >= made.enough:
            if sum(each.size for each in list(agents.values())) > MAX_CANDIDATES:
                for oldest in list(agents)[: len(agents) // 4]:
                    agents.pop(oldest, None)
            # To look at all of them each time would take longer than to make one.
            made.enough = len(agents) * 9 // 8 + 64
        return tables

    def _tables(self, key: Key, enrolled: Enrolled) -> AgentTables:
        evidence: dict[str, Any] = {
            "revision": self.revision,
            "own": self.evidence.get(key, {}),
            "learned": self._learned(key.tenant_id),
        }
        before = self.made.outdated.get(key)
        if before is not None:
            return before.renewed(**evidence, effort=self.made.effort)
        offered = list(self.catalogue.of(enrolled))
        sources = Sources(
            agent=enrolled.agent,
            offers=[offer for offer, _ in offered],
            priorities=[priority for _, priority in offered],
            levels=self._levels(key.tenant_id),
            preferences=self.preferences,
            scorer=self.scorer,
            **evidence,
        )
        return AgentTables(sources, limits=self.limits.of(key, sources.offers))

    def _levels(self, tenant_id: UUID) -> list[Defaults]:
        found = (self.defaults.get(None), self.defaults.get(tenant_id))
        return [each for each in found if each is not None]

    def _learned(self, tenant_id: UUID) -> Learned:
        found = self.made.learned.get(tenant_id)
        if found is None:
            pooled = self.evidence.get(Key(tenant_id, ""), {})
            policy = routing.merge(DEFAULT_POLICY, *(each.routing for each in self._levels(tenant_id)))
            found = self.made.learned[tenant_id] = learned.of(pooled, policy.half_life)
        return found
