"""A tenant: it exists by being named in a token, and may have a name for people."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID


@dataclass(frozen=True, slots=True, kw_only=True)
class Tenant:
    """A row of ``tenants``."""

    tenant_id: UUID
    display_name: str = ""
    create_time: datetime | None = None
