"""What was looked at, how it is, and what to do about it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable


class Level(StrEnum):
    """How it is. SKIP: not looked at."""

    OK = "OK"
    SKIP = "SKIP"
    WARN = "WARN"
    FAIL = "FAIL"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at; ``advice`` where something is to be done."""

    check: str
    level: Level
    says: str
    advice: str = ""


def worst(found: Iterable[Finding]) -> Level:
    order = list(Level)
    return max((each.level for each in found), key=order.index, default=Level.OK)
