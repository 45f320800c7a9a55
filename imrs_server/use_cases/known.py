"""What a call names must be there."""

from __future__ import annotations

from typing import TYPE_CHECKING

from imrs_server.domain.errors import AgentNotFound, ModelNotFound
from imrs_server.domain.provider import State
from imrs_server.storage import agent_models, agents

if TYPE_CHECKING:
    from collections.abc import Sequence
    from uuid import UUID

    from imrs_server.domain.agent import Agent
    from imrs_server.storage.database import Tx


def require_models(tx: Tx, model_ids: Sequence[str], *, deleted_too: bool = False) -> None:
    """Raises ModelNotFound for the first id that is not in the catalogue."""
    unknown = agent_models.unknown(tx, model_ids, deleted_too=deleted_too) if model_ids else None
    if unknown is not None:
        raise ModelNotFound(model_id=unknown)


def require_agent(tx: Tx, tenant_id: UUID, agent_id: str) -> Agent:
    """The agent to read about. Raises AgentNotFound, also for a deleted one."""
    return _alive(agents.get(tx, tenant_id, agent_id), agent_id)


def lock_agent(tx: Tx, tenant_id: UUID, agent_id: str) -> Agent:
    """The agent to change, held until the transaction ends. Raises AgentNotFound, also for a deleted one."""
    return _alive(agents.lock(tx, tenant_id, agent_id), agent_id)


def _alive(agent: Agent | None, agent_id: str) -> Agent:
    if agent is None or agent.state is State.DELETED:
        raise AgentNotFound(agent_id=agent_id)
    return agent
