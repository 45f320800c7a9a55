"""The table ``agent_rules``: standing permissions."""

from __future__ import annotations

from typing import TYPE_CHECKING

from imrs_client.ids import new_id
from imrs_server.domain.agent import AgentRule
from imrs_server.domain.model import ModelFilter
from imrs_server.storage import sql
from imrs_server.storage.listing import Listing
from imrs_server.storage.shape import shape

if TYPE_CHECKING:
    from uuid import UUID

    from imrs_server.domain.agent import Agent
    from imrs_server.domain.listing import Page, PageRequest
    from imrs_server.storage.database import Tx

Q = sql.load(__file__)

_LISTING = Listing(
    key="rule_id",
    orders={"create_time": ("create_time", "timestamptz"), "rule_id": ("rule_id", "uuid")},
    hidden=frozenset({"rule_id"}),
)


def insert(tx: Tx, tenant_id: UUID, rule: AgentRule) -> AgentRule:
    """The stored rule, under a fresh id."""
    found = Q.insert.one(
        tx,
        shape(AgentRule),
        tenant_id=tenant_id,
        rule_id=new_id(),
        agent_id=rule.agent_id,
        filter=shape(ModelFilter).column(rule.filter),
        priority_override=rule.priority_override,
        created_by=rule.created_by,
    )
    assert found is not None
    return found


def find_equal(tx: Tx, tenant_id: UUID, rule: AgentRule) -> AgentRule | None:
    """The oldest rule of the same agent that does the same."""
    return Q.find_equal.one(
        tx,
        shape(AgentRule),
        tenant_id=tenant_id,
        agent_id=rule.agent_id,
        filter=shape(ModelFilter).column(rule.filter),
        priority_override=rule.priority_override,
    )


def list_page(tx: Tx, tenant_id: UUID, agent_id: str, request: PageRequest) -> Page[AgentRule]:
    return _LISTING.page(tx, Q.list, shape(AgentRule), request, tenant_id=tenant_id, agent_id=agent_id)


def lock_all(tx: Tx, tenant_id: UUID, agent_id: str) -> list[AgentRule]:
    """Every rule of an agent, oldest first; no sync applies them until the transaction ends."""
    return Q.lock_all.all(tx, shape(AgentRule), tenant_id=tenant_id, agent_id=agent_id)


def delete(tx: Tx, tenant_id: UUID, agent_id: str, rule_id: UUID) -> AgentRule | None:
    """The rule that was there."""
    return Q.delete.one(tx, shape(AgentRule), tenant_id=tenant_id, agent_id=agent_id, rule_id=rule_id)


def delete_all(tx: Tx, tenant_id: UUID, agent_id: str) -> int:
    """How many rules there were."""
    return Q.delete_all.run(tx, tenant_id=tenant_id, agent_id=agent_id)


def copy(tx: Tx, source: Agent, new_agent_id: str, *, created_by: str) -> dict[UUID, UUID]:
    """Give another agent the same rules: old id -> new id."""
    renamed: dict[UUID, UUID] = {}
    for rule in lock_all(tx, source.tenant_id, source.agent_id):
        assert rule.rule_id is not None
        renamed[rule.rule_id] = new_id()
    Q.copy.run(
        tx,
        tenant_id=source.tenant_id,
        new_agent_id=new_agent_id,
        old_ids=list(renamed),
        new_ids=list(renamed.values()),
        created_by=created_by,
    )
    return renamed
