"""What the index knows at one revision."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from uuid import UUID

from imrs_client import tasks
from imrs_client.tasks import SRS_RULES, Rules
from imrs_server.domain import evidence, routing, scoring
from imrs_server.domain.agent import Agent, AgentModel
from imrs_server.domain.agent_key import AgentKey
from imrs_server.domain.defaults import Defaults
from imrs_server.domain.evidence import Cells
from imrs_server.domain.model import Model
from imrs_server.domain.preference import Preference
from imrs_server.domain.provider import Provider
from imrs_server.domain.ranking import Offer
from imrs_server.domain.routing import DEFAULT_POLICY
from imrs_server.domain.scoring import Scorer
from imrs_server.domain.vault_view import NEVER_LOOKED, VaultView
from imrs_server.index.learned import Learned
from imrs_server.index.tables import AgentTables, Sources
from imrs_server.storage.index import Key

# Beyond this all tables start afresh: a candidate takes about half a kilobyte.
MAX_CANDIDATES = 400_000


@dataclass(frozen=True, slots=True)
class Enrolled:
    """An agent with its settings for models, and the providers for which it has a key of its own."""

    agent: Agent
    models: tuple[AgentModel, ...] = ()
    keys: tuple[AgentKey, ...] = ()


@dataclass(slots=True)
class Made:
    """What was made from a state: only ever added to, entry by entry. A lost entry is made again."""

    agents: dict[Key, AgentTables] = field(default_factory=dict)
    learned: dict[UUID, Learned] = field(default_factory=dict)
    rules: dict[UUID, Rules] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """All that Route needs. Equal revisions of one epoch, and equal views of Vault, mean equal answers."""

    revision: int
    epoch: UUID
    providers: Mapping[str, Provider] = field(default_factory=dict)
    models: Mapping[str, Model] = field(default_factory=dict)
    agents: Mapping[Key, Enrolled] = field(default_factory=dict)
    preferences: Mapping[str, Preference] = field(default_factory=dict)
    defaults: Mapping[UUID | None, Defaults] = field(default_factory=dict)
    evidence: Mapping[Key, Mapping[str, Cells]] = field(default_factory=dict)
    revoked: frozenset[str] = frozenset()
    """Ids of tokens that are revoked and not yet expired."""
    vault: VaultView = NEVER_LOOKED
    scorer: Scorer = scoring.score
    made: Made = field(default_factory=Made, compare=False, repr=False)

    def agent(self, tenant_id: UUID, agent_id: str) -> AgentTables | None:
        """The tables of an agent; None where the tenant has no such agent."""
        key = Key(tenant_id, agent_id)
        found = self.made.agents.get(key)
        if found is None:
            enrolled = self.agents.get(key)
            found = None if enrolled is None else self._keep(key, self._tables(key, enrolled))
        return found

    def rules(self, tenant_id: UUID) -> Rules:
        """The rules of task detection: the tenant's over the global ones over the built-in ones."""
        found = self.made.rules.get(tenant_id)
        if found is None:
            levels = [each.task_rules for each in reversed(self._levels(tenant_id))]
            found = self.made.rules[tenant_id] = tasks.merge(*levels, SRS_RULES)
        return found

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
        )

    def seeing(self, vault: VaultView) -> State:
        """The same revision, with another view of Vault."""
        # Copied, because readers of this state still add to theirs.
        made = Made(learned=dict(self.made.learned), rules=dict(self.made.rules))
        return replace(self, vault=vault, made=made)

    def _keep(self, key: Key, tables: AgentTables) -> AgentTables:
        agents = self.made.agents
        if len(agents) % 64 == 63 and sum(each.size for each in list(agents.values())) > MAX_CANDIDATES:
            agents.clear()
        agents[key] = tables
        return tables

    def _tables(self, key: Key, enrolled: Enrolled) -> AgentTables:
        return AgentTables(
            Sources(
                revision=self.revision,
                agent=enrolled.agent,
                offers=tuple(self._offers(enrolled)),
                levels=self._levels(key.tenant_id),
                preferences=self.preferences,
                own=self.evidence.get(key, {}),
                learned=self._learned(key.tenant_id),
                scorer=self.scorer,
            )
        )

    def _offers(self, enrolled: Enrolled) -> list[Offer]:
        found = ((each, self.models.get(each.model_id)) for each in enrolled.models)
        pairs = [(own, model) for own, model in found if model]
        names = {model.provider_id for _, model in pairs}
        providers = {name: self.vault.provider(self.providers[name]) for name in names}
        keys = {
            each.provider_id: (each.path, self.vault.usable(each.path, each.key_version))
            for each in enrolled.keys
        }
        return [
            Offer(own, model, providers[model.provider_id], *keys.get(model.provider_id, ()))
            for own, model in pairs
        ]

    def _levels(self, tenant_id: UUID) -> list[Defaults]:
        found = (self.defaults.get(None), self.defaults.get(tenant_id))
        return [each for each in found if each is not None]

    def _learned(self, tenant_id: UUID) -> Learned:
        found = self.made.learned.get(tenant_id)
        if found is None:
            pooled = self.evidence.get(Key(tenant_id, ""), {})
            policy = routing.merge(DEFAULT_POLICY, *(each.routing for each in self._levels(tenant_id)))
            decay = evidence.decay(pooled.values(), policy.half_life)
            found = self.made.learned[tenant_id] = Learned(pooled, decay)
        return found
