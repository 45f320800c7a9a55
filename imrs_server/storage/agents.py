"""The table ``agents``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from psycopg.types.json import Jsonb

from imrs_server.domain.agent import Agent, ModelOverride
from imrs_server.domain.parameters import Parameters
from imrs_server.domain.provider import State
from imrs_server.domain.routing import RoutingPolicy
from imrs_server.storage import sql
from imrs_server.storage.listing import Listing
from imrs_server.storage.shape import shape

if TYPE_CHECKING:
    from uuid import UUID

    from imrs_server.domain.listing import Page, PageRequest
    from imrs_server.storage.database import Tx

Q = sql.load(__file__)

# An id is unique in its tenant only, and a platform admin's list goes over all tenants.
_LISTING = Listing(
    key="place",
    orders={
        "agent_id": ("agent_id", "text"),
        "display_name": ("display_name", "text"),
        "create_time": ("create_time", "timestamptz"),
        "update_time": ("update_time", "timestamptz"),
        "place": ("(tenant_id::text || '/' || agent_id)", "text"),
    },
    hidden=frozenset({"place"}),
)


def insert(tx: Tx, agent: Agent) -> Agent | None:
    """The stored row; None when the id is taken, perhaps by a deleted agent."""
    return Q.insert.one(tx, shape(Agent), **_columns(agent))


def get(tx: Tx, tenant_id: UUID, agent_id: str) -> Agent | None:
    return Q.get.one(tx, shape(Agent), tenant_id=tenant_id, agent_id=agent_id)


def lock(tx: Tx, tenant_id: UUID, agent_id: str) -> Agent | None:
    """The row, held until the transaction ends: changes of an agent and of its models take turns."""
    return Q.lock.one(tx, shape(Agent), tenant_id=tenant_id, agent_id=agent_id)


def update(tx: Tx, agent: Agent) -> Agent:
    """Store every field of a locked row; its version rises by one."""
    found = Q.update.one(tx, shape(Agent), **_columns(agent), delete_time=agent.delete_time)
    assert found is not None
    return found


def list_page(
    tx: Tx,
    request: PageRequest,
    *,
    tenant_id: UUID | None,
    agent_class: str,
    state: State | None,
    tag: str,
    search: str,
    show_deleted: bool,
) -> Page[Agent]:
    return _LISTING.page(
        tx,
        Q.list,
        shape(Agent),
        request,
        tenant_id=tenant_id,
        agent_class=agent_class,
        state=state,
        tag=tag,
        search=search,
        show_deleted=show_deleted or state is State.DELETED,
    )


def _columns(agent: Agent) -> dict[str, Any]:
    fallbacks = agent.fallback_model_ids
    return {
        "tenant_id": agent.tenant_id,
        "agent_id": agent.agent_id,
        "display_name": agent.display_name,
        "agent_class": agent.agent_class,
        "use_case": agent.use_case,
        "tags": Jsonb(list(agent.tags)),
        "labels": Jsonb(agent.labels),
        "metadata": Jsonb(agent.metadata),
        "capsule": None if agent.capsule is None else Jsonb(agent.capsule),
        "default_model_id": agent.default_model_id,
        "parameters": shape(Parameters).column(agent.parameters),
        "routing": shape(RoutingPolicy).column(agent.routing),
        "override": shape(ModelOverride).column(agent.override),
        "fallback_model_ids": None if fallbacks is None else Jsonb(list(fallbacks)),
        "state": agent.state,
    }
