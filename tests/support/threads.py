"""Threads in the moments that matter: where one is held up, or the system has none left."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from concurrent.futures import ThreadPoolExecutor

# More than there are addresses for.
STACK_BYTES = 1 << 47


@contextmanager
def no_more_threads() -> Iterator[None]:
    """The system refuses them, for it has no place for their stacks."""
    before = threading.stack_size(STACK_BYTES)
    try:
        yield
    finally:
        threading.stack_size(before)


def hold(pool: ThreadPoolExecutor, until: threading.Event) -> None:
    """Have a thread of a pool wait for an event, which it does when this returns: what is submitted only,
    the end of the pool may take back.
    """
    waits = threading.Event()

    def wait() -> None:
        waits.set()
        until.wait(60)

    pool.submit(wait)
    assert waits.wait(30)


class StoppedBeforeClear(threading.Event):
    """An event that wakes a thread: another one calls ``stop``, which sets it, just before it is cleared."""

    def __init__(self, stop: Callable[[], object]) -> None:
        super().__init__()
        self._told = threading.Event()
        self._stopper = threading.Thread(target=stop, daemon=True)

    def set(self) -> None:
        super().set()
        if threading.current_thread() is self._stopper:
            self._told.set()

    def clear(self) -> None:
        if self._stopper.ident is None:
            self._stopper.start()
            assert self._told.wait(20)
        super().clear()
