"""A token that was issued here: what it says, never the token itself."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from imrs_server.domain.principal import Role


@dataclass(frozen=True, slots=True, kw_only=True)
class IssuedToken:
    """A row of ``issued_tokens``."""

    token_id: UUID
    tenant_id: UUID | None = None
    subject: str
    roles: tuple[Role, ...]
    agent_id: str = ""
    issued_by: str = ""
    create_time: datetime | None = None
    expire_time: datetime
    revoke_time: datetime | None = None
