"""How many workers serve, as the one process that knows tells it to the others."""

from __future__ import annotations

import multiprocessing
from typing import Any

_WORKERS, _SERVING, _OPENED = range(3)


class Standing:
    """A few numbers in memory that spawned processes share when they are given it."""

    def __init__(self, workers: int) -> None:
        self._shared: Any = multiprocessing.get_context("spawn").RawArray("i", 3)
        self._shared[_WORKERS] = workers

    def tell(self, serving: int) -> None:
        """So many workers serve now."""
        self._shared[_SERVING] = serving
        if serving == self.workers:
            self._shared[_OPENED] = 1

    @property
    def workers(self) -> int:
        return int(self._shared[_WORKERS])

    @property
    def serving(self) -> int:
        return int(self._shared[_SERVING])

    @property
    def ready(self) -> bool:
        """From when all served for the first time, as long as any does: the others' calls are taken over."""
        return bool(self._shared[_OPENED]) and self.serving > 0
