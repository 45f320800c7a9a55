"""Where a provider's key lies in the secret store: a path can only be built from ids that were checked."""

from __future__ import annotations

import re
from dataclasses import dataclass
from uuid import UUID

_PROVIDER_ID = re.compile(r"[a-z0-9][a-z0-9_-]{0,49}")
_AGENT_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


@dataclass(frozen=True, slots=True)
class CredentialPath:
    """``llm/{provider_id}``, or ``llm/{provider_id}/agents/{tenant_id}/{agent_id}`` for an agent's own key.

    Raises ValueError for any other shape: a dot segment in an id would name another secret.
    """

    provider_id: str
    tenant_id: UUID | None = None
    agent_id: str | None = None

    def __post_init__(self) -> None:
        if not _PROVIDER_ID.fullmatch(self.provider_id):
            raise ValueError("a provider id is a-z, 0-9, _ and -, at most 50 characters")
        if (self.tenant_id is None) != (self.agent_id is None):
            raise ValueError("an agent's key needs both tenant_id and agent_id")
        # Ids arrive from generated code and storage too, where types are only a promise.
        if self.tenant_id is not None and not isinstance(self.tenant_id, UUID):
            raise ValueError("tenant_id is a UUID")
        if self.agent_id is not None and not _AGENT_ID.fullmatch(self.agent_id):
            raise ValueError("an agent id is A-Z, a-z, 0-9, dot, _ and -, at most 64 characters")

    @property
    def shown(self) -> str:
        """The path as the API shows it."""
        return f"secret/{self}"

    def __str__(self) -> str:
        if self.tenant_id is None:
            return f"llm/{self.provider_id}"
        return f"llm/{self.provider_id}/agents/{self.tenant_id}/{self.agent_id}"
