"""Configuration as code: what a file wants, what becomes of it, and what a file owns."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, TypeAlias
from uuid import UUID

DEFAULT_SOURCE = "default"
"""The name of a file that is not named."""

Flat: TypeAlias = dict[str, Any]
"""Fields by their dotted paths, ``parameters.temperature``, with JSON values."""


class AppliedAlready(Exception):
    """A file is as it was when it was last applied, so that nothing was done."""


class Action(StrEnum):
    """What becomes of a thing that a file is about."""

    CREATE = "CREATE"
    UPDATE = "UPDATE"
    DELETE = "DELETE"
    UNCHANGED = "UNCHANGED"


@dataclass(frozen=True, slots=True, order=True)
class Target:
    """A thing that a file is about: its section, ``agents``, and its id there, ``support-bot``."""

    section: str
    id: str

    def __str__(self) -> str:
        """As people see it: what belongs to an agent stands below it."""
        if self.section in ("agent_models", "rules"):
            agent_id, _, rest = self.id.partition("/")
            return f"agents/{agent_id}/{'models' if self.section == 'agent_models' else 'rules'}/{rest}"
        return f"{self.section}/{self.id}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What a file says of a thing. ``initial`` counts only where the thing is not there yet.

    ``implied`` are things that others name; the file does not take them away again. ``path`` is where it
    stands in the file, and ``line`` in which.
    """

    fields: Flat = field(default_factory=dict)
    initial: Flat = field(default_factory=dict)
    implied: bool = False
    path: tuple[str | int, ...] = ()
    line: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Thing:
    """A thing as it is. One that is deleted softly is not alive, and comes back with what it had."""

    fields: Flat
    alive: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class FieldDiff:
    """One field before and after; None where there was, or is, nothing. Never a secret."""

    field: str
    before: Any = None
    after: Any = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedChange:
    """What becomes of one thing; ``drifted`` are fields that somebody changed since the file gave them."""

    action: Action
    target: Target
    diffs: tuple[FieldDiff, ...] = ()
    drifted: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Owned:
    """What a file owns of a thing: the fields that it gave. ``created``: it may take the thing away again."""

    target: Target
    fields: Flat
    created: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Apply:
    """One apply as it is remembered: its changes, and what the file owned before it."""

    apply_id: UUID
    source: str
    environment: str
    actor: str
    changes: tuple[PlannedChange, ...]
    owned: tuple[Owned, ...]
    create_time: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What an apply did, or would do; in the order in which it is done."""

    changes: tuple[PlannedChange, ...]

    @property
    def changing(self) -> tuple[PlannedChange, ...]:
        return tuple(each for each in self.changes if each.action is not Action.UNCHANGED)
