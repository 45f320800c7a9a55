"""Bringing the catalogue up to date with what a provider lists."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any
from uuid import UUID

MISSING_GRACE = timedelta(hours=24)
"""How long a model may be absent from its provider's list before it counts as gone."""

MAX_PREVIEWED = 1000
"""How many changes ``validate_only`` shows; the counts are exact."""


class Stage(StrEnum):
    """Where a sync is. Comparing and writing are one transaction, so both are told before it starts."""

    FETCHING = "FETCHING"
    COMPARING = "COMPARING"
    WRITING = "WRITING"
    DONE = "DONE"


class Action(StrEnum):
    """What happened to a model."""

    ADDED = "ADDED"
    UPDATED = "UPDATED"
    MISSING = "MISSING"
    RETURNED = "RETURNED"
    RETIRING = "RETIRING"
    RETIRED = "RETIRED"
    REVERTED = "REVERTED"


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelChange:
    """A row of ``model_changes``: the fields that differ, with their JSON values before and after.

    ``change_id`` and the times are None for a change that was only previewed.
    """

    provider_id: str
    model_id: str
    action: Action
    before: dict[str, Any] = field(default_factory=dict)
    after: dict[str, Any] = field(default_factory=dict)
    change_id: UUID | None = None
    synced_time: datetime | None = None
    create_time: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SyncResult:
    """The outcome: models_discovered = added + updated + unchanged + invalid; missing ones come on top."""

    provider_id: str
    models_discovered: int
    models_added: int
    models_updated: int
    models_unchanged: int
    models_missing: int
    models_invalid: int
    synced_time: datetime | None = None
    changes: tuple[ModelChange, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class SyncProgress:
    """One step; ``result`` and ``revision`` come with the last."""

    stage: Stage
    models_discovered: int = 0
    models_processed: int = 0
    result: SyncResult | None = None
    revision: int | None = None
