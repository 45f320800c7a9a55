"""Who changed what."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditEvent:
    """One change, with the thing before and after it; never a secret.

    ``request_id`` is what the log lines of the call carry; jobs have none.
    """

    event_id: UUID
    tenant_id: UUID | None = None
    actor: str
    roles: tuple[str, ...]
    method: str
    request_id: str = ""
    target_type: str
    target_id: str
    before: dict[str, Any] | None = None
    after: dict[str, Any] | None = None
    create_time: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditFilter:
    """Which changes a list shows; what is empty does not matter. ``end_time`` is not included."""

    actor: str = ""
    target_type: str = ""
    target_id: str = ""
    method: str = ""
    start_time: datetime | None = None
    end_time: datetime | None = None
