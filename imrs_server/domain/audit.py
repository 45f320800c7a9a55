"""Who changed what."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditEvent:
    """One change, with the thing before and after it; never a secret."""

    event_id: UUID
    tenant_id: UUID | None
    actor: str
    roles: tuple[str, ...]
    method: str
    request_id: str = ""
    target_type: str
    target_id: str
    before: dict[str, Any] | None = None
    after: dict[str, Any] | None = None
    create_time: datetime | None = None
