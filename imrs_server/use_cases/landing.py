"""Decisions on their way: Route answers before the decision log has written what it decided."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")


class NotLanded(Exception):
    """The decision that this is about is not in the database, and may be in the log's buffer."""


def landing(work: Callable[[bool], T], flush_decisions: Callable[[], object]) -> T:
    """Call ``work(False)``; where it raises NotLanded, write the buffer out and call ``work(True)``, for
    which nothing is on its way any more.
    """
    try:
        return work(False)
    except NotLanded:
        flush_decisions()
        return work(True)
