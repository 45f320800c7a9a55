"""An agent's own key for a provider: that there is one. The key itself is in Vault."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from imrs_server.domain.credential import CredentialPath


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentKey:
    """A row of ``agent_keys``; ``key_version`` is the version in Vault."""

    tenant_id: UUID
    agent_id: str
    provider_id: str
    key_version: int
    set_by: str = ""
    create_time: datetime | None = None
    update_time: datetime | None = None

    @property
    def path(self) -> CredentialPath:
        return CredentialPath(self.provider_id, self.tenant_id, self.agent_id)
