"""The answer of every write."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Generic, TypeVar

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Written(Generic[T]):
    """What was written, and the index revision from which Route knows of it."""

    value: T
    revision: int
