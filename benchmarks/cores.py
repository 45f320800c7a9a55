"""The cores that the parts of a measurement run on."""

from __future__ import annotations

import os
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

Cores = frozenset[int]

# Of the whole run: who asks while a process is pinned gets the same answer.
_ALL = frozenset(os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else ())


def cores(*wanted: int) -> Cores:
    """Those of the wanted cores that there are; where there are too few, every one."""
    return frozenset(wanted) if set(wanted) <= _ALL else _ALL


@contextmanager
def pinned(on: Cores) -> Iterator[None]:
    """Processes that are started in here stay on these cores, and all that they start.

    Raises RuntimeError within another one: who holds it open while others start theirs would have all of
    them on his own cores.
    """
    if os.sched_getaffinity(0) != _ALL:
        raise RuntimeError("the cores are chosen already; choose them only around the start of a process")
    with kept(0, on):
        yield


@contextmanager
def kept(pid: int, on: Cores) -> Iterator[None]:
    """A process stays on these cores meanwhile; what it starts then does so for good."""
    before = os.sched_getaffinity(pid)
    os.sched_setaffinity(pid, on)
    try:
        yield
    finally:
        os.sched_setaffinity(pid, before)
