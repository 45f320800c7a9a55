"""Pages of a list: where to start, how to sort, where to go on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Generic, TypeVar

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class PageRequest:
    """What a caller asks for. ``after`` holds the sort keys of the last row that he has."""

    size: int = 50
    order_by: str = ""
    after: tuple[Any, ...] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Page(Generic[T]):
    """One page; ``after`` is None on the last one."""

    items: list[T]
    total_size: int
    after: tuple[Any, ...] | None
