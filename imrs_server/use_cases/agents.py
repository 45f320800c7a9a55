"""Agents: who asks for models, under which settings."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from imrs_server.domain import routing
from imrs_server.domain.agent import Agent, ModelOverride
from imrs_server.domain.amendment import amended
from imrs_server.domain.errors import AgentExists, AgentNotFound, InvalidRequest, Violation
from imrs_server.domain.principal import Role
from imrs_server.domain.provider import State, require_etag
from imrs_server.domain.written import Written
from imrs_server.storage import agent_models, agent_rules, agents, audit, changes, tenants
from imrs_server.storage.changes import Change, Kind
from imrs_server.use_cases import known

if TYPE_CHECKING:
    from collections.abc import Iterator
    from uuid import UUID

    from imrs_server.domain.listing import Page, PageRequest
    from imrs_server.domain.principal import Principal
    from imrs_server.storage.database import Database, Tx

# What an update may change; `state` only between ACTIVE and DISABLED.
MUTABLE = frozenset(
    {
        "display_name", "agent_class", "use_case", "tags", "labels", "metadata", "capsule",
        "default_model_id", "parameters", "routing", "fallback_model_ids", "state",
    }
)  # fmt: skip


class Agents:
    """Every method takes the tenant that the request names, None for the caller's own."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def create(
        self, who: Principal, tenant_id: UUID | None, agent_id: str, fields: dict[str, Any]
    ) -> Written[Agent]:
        """Make an agent that may use no model yet.

        Raises AgentExists (also for the id of a deleted agent), ModelNotFound, InvalidRequest.
        """
        tenant_id = _tenant(who, tenant_id)
        check(fields)
        with self._database.transaction(tenant_id) as tx:
            require_models(tx, fields)
            return _create(tx, who, Agent(agent_id=agent_id, tenant_id=tenant_id, **fields))

    def get(self, who: Principal, tenant_id: UUID | None, agent_id: str) -> Agent:
        """One agent, also a deleted one. Raises AgentNotFound."""
        tenant_id = _tenant(who, tenant_id)
        with self._database.transaction(tenant_id) as tx:
            found = agents.get(tx, tenant_id, agent_id)
        if found is None:
            raise AgentNotFound(agent_id=agent_id)
        return found

    def list(
        self,
        who: Principal,
        tenant_id: UUID | None,
        page: PageRequest,
        *,
        agent_class: str = "",
        state: State | None = None,
        tag: str = "",
        search: str = "",
        show_deleted: bool = False,
    ) -> Page[Agent]:
        """The agents of a tenant, or of all where a platform admin of no tenant names none."""
        who.require(Role.TENANT_ADMIN, Role.PLATFORM_ADMIN)
        scope = who.scope(tenant_id)
        with self._database.scoped(scope) as tx:
            return agents.list_page(
                tx,
                page,
                tenant_id=scope,
                agent_class=agent_class,
                state=state,
                tag=tag,
                search=search,
                show_deleted=show_deleted,
            )

    def update(
        self,
        who: Principal,
        tenant_id: UUID | None,
        agent_id: str,
        fields: dict[str, Any],
        *,
        etag: str = "",
        allow_missing: bool = False,
    ) -> Written[Agent]:
        """Change the named fields, some by an Amendment; where that is allowed an agent that does not exist
        is created.

        Raises AgentNotFound (also for a deleted agent), ModelNotFound, EtagMismatch, InvalidRequest.
        """
        tenant_id = _tenant(who, tenant_id)
        with self._database.transaction(tenant_id) as tx:
            before = agents.lock(tx, tenant_id, agent_id)
            start = before or Agent(agent_id=agent_id, tenant_id=tenant_id)
            if (before is None and not allow_missing) or start.state is State.DELETED:
                raise AgentNotFound(agent_id=agent_id)
            fields = amended(start, fields)
            check(fields)
            require_models(tx, fields)
            wanted = replace(start, **fields)
            if before is None:
                return _create(tx, who, wanted)
            require_etag(etag, before.version)
            return _AgentChange(tx, who, "UpdateAgent", before).commit(wanted)

    def delete(
        self, who: Principal, tenant_id: UUID | None, agent_id: str, *, etag: str = ""
    ) -> Written[Agent]:
        """Soft: its models and rules are kept, and it gets no more answers. Deleting twice is no error."""
        with self._changing(who, "DeleteAgent", tenant_id, agent_id, etag) as change:
            if change.before.state is State.DELETED:
                return change.nothing()
            return change.commit(replace(change.before, state=State.DELETED, delete_time=datetime.now(UTC)))

    def undelete(
        self, who: Principal, tenant_id: UUID | None, agent_id: str, *, etag: str = ""
    ) -> Written[Agent]:
        """Back to ACTIVE, with its models as they were and those that its rules have missed meanwhile.

        Raises AgentNotFound, EtagMismatch.
        """
        with self._changing(who, "UndeleteAgent", tenant_id, agent_id, etag) as change:
            if change.before.state is not State.DELETED:
                return change.nothing()
            for rule in agent_rules.lock_all(change.tx, change.before.tenant_id, agent_id):
                agent_models.catch(change.tx, change.before, rule)
            return change.commit(replace(change.before, state=State.ACTIVE, delete_time=None))

    def clone(
        self, who: Principal, tenant_id: UUID | None, agent_id: str, new_agent_id: str
    ) -> Written[Agent]:
        """A new agent with the settings, pin, models and rules of another; keys and evidence stay behind.

        Raises AgentNotFound, AgentExists.
        """
        with self._changing(who, "CloneAgent", tenant_id, agent_id) as change:
            source = change.alive()
            copy = agents.insert(change.tx, replace(source, agent_id=new_agent_id))
            if copy is None:
                raise AgentExists(agent_id=new_agent_id)
            new_ids = agent_rules.copy(change.tx, source, new_agent_id, created_by=who.subject)
            agent_models.copy(change.tx, source, new_agent_id, new_ids, enabled_by=who.subject)
            return _created(change.tx, who, "CloneAgent", copy)

    def set_override(
        self, who: Principal, tenant_id: UUID | None, agent_id: str, model_id: str
    ) -> Written[Agent]:
        """Pin the agent to a model that is enabled for it.

        Raises AgentNotFound, ModelNotFound, and InvalidRequest for a model that is not enabled.
        """
        with self._changing(who, "SetModelOverride", tenant_id, agent_id) as change:
            agent = change.alive()
            known.require_models(change.tx, [model_id])
            if not agent_models.is_enabled(change.tx, agent.tenant_id, agent_id, model_id):
                raise InvalidRequest(
                    Violation("model_id", f"{model_id} is not enabled for {agent_id}; enable it first")
                )
            pin = ModelOverride(model_id=model_id, set_by=who.subject, set_time=datetime.now(UTC))
            return change.commit(replace(agent, override=pin))

    def clear_override(self, who: Principal, tenant_id: UUID | None, agent_id: str) -> Written[Agent]:
        """Take the pin away; there need not be one. Raises AgentNotFound."""
        with self._changing(who, "ClearModelOverride", tenant_id, agent_id) as change:
            if change.alive().override is None:
                return change.nothing()
            return change.commit(replace(change.before, override=None))

    @contextmanager
    def _changing(
        self, who: Principal, method: str, tenant_id: UUID | None, agent_id: str, etag: str = ""
    ) -> Iterator[_AgentChange]:
        tenant_id = _tenant(who, tenant_id)
        with self._database.transaction(tenant_id) as tx:
            before = agents.lock(tx, tenant_id, agent_id)
            if before is None:
                raise AgentNotFound(agent_id=agent_id)
            require_etag(etag, before.version)
            yield _AgentChange(tx, who, method, before)


class _AgentChange:
    """One change of a locked agent."""

    def __init__(self, tx: Tx, who: Principal, method: str, before: Agent) -> None:
        self.tx, self._who, self._method, self.before = tx, who, method, before

    def alive(self) -> Agent:
        """The agent, unless it is deleted. Raises AgentNotFound."""
        if self.before.state is State.DELETED:
            raise AgentNotFound(agent_id=self.before.agent_id)
        return self.before

    def nothing(self) -> Written[Agent]:
        """The agent as it is: what was asked for is so already."""
        return Written(self.before, changes.current(self.tx).rev)

    def commit(self, wanted: Agent) -> Written[Agent]:
        after = agents.update(self.tx, wanted)
        audit.write(
            self.tx,
            self._who,
            self._method,
            ("agent", after.agent_id),
            before=self.before,
            after=after,
            tenant_id=after.tenant_id,
        )
        change = Change(Kind.AGENT, after.agent_id, after.tenant_id)
        return Written(after, changes.announce(self.tx, change))


def _create(tx: Tx, who: Principal, agent: Agent) -> Written[Agent]:
    tenants.note(tx, agent.tenant_id)
    created = agents.insert(tx, agent)
    if created is None:
        raise AgentExists(agent_id=agent.agent_id)
    return _created(tx, who, "CreateAgent", created)


def _created(tx: Tx, who: Principal, method: str, agent: Agent) -> Written[Agent]:
    audit.write(tx, who, method, ("agent", agent.agent_id), after=agent, tenant_id=agent.tenant_id)
    return Written(agent, changes.announce(tx, Change(Kind.AGENT, agent.agent_id, agent.tenant_id)))


def _tenant(who: Principal, tenant_id: UUID | None) -> UUID:
    who.require(Role.TENANT_ADMIN, Role.PLATFORM_ADMIN)
    return who.tenant(tenant_id)


def check(fields: dict[str, Any]) -> None:
    """Whether fields of an agent may be set so. Raises InvalidRequest."""
    unknown = sorted(fields.keys() - MUTABLE)
    if unknown:
        allowed = ", ".join(sorted(MUTABLE))
        raise InvalidRequest(Violation("update_mask", f"{', '.join(unknown)}: not one of {allowed}"))
    if fields.get("state") is State.DELETED:
        raise InvalidRequest(Violation("agent.state", "must be ACTIVE or DISABLED; use DeleteAgent"))
    if "routing" in fields:
        routing.require_valid(fields["routing"], "agent.routing", of_agent=True)


def require_models(tx: Tx, fields: dict[str, Any]) -> None:
    """Models that settings name must be in the catalogue at that time. Raises ModelNotFound."""
    default = fields.get("default_model_id")
    known.require_models(tx, [*([default] if default else []), *(fields.get("fallback_model_ids") or ())])
