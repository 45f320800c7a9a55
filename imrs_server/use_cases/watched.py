"""Whom a caller may watch."""

from __future__ import annotations

from typing import TYPE_CHECKING

from imrs_server.domain.errors import AgentNotFound, DatabaseUnavailable
from imrs_server.domain.principal import Role
from imrs_server.storage.index import Key

if TYPE_CHECKING:
    from uuid import UUID

    from imrs_server.domain.principal import Principal
    from imrs_server.index.warm import Index


class WatchedAgents:
    """Finds agents in the index."""

    def __init__(self, index: Index) -> None:
        self._index = index

    def find(self, who: Principal, tenant_id: UUID | None, agent_id: str) -> Key:
        """An agent that is there. Raises AgentNotFound, and DatabaseUnavailable before anything was read."""
        who.require(Role.AGENT, Role.TENANT_ADMIN, Role.PLATFORM_ADMIN)
        key = Key(who.tenant(tenant_id), who.agent(agent_id))
        state = self._index.current
        if state is None:
            raise DatabaseUnavailable
        if key not in state.agents:
            raise AgentNotFound(agent_id=key.agent_id)
        return key
