"""A circuit breaker: after some failures in a row nobody waits for a service that does not answer."""

from __future__ import annotations

import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


class CircuitOpen(Exception):
    """The service failed a moment ago; ``retry_after_seconds`` tells when it is asked again."""

    def __init__(self, retry_after_seconds: float) -> None:
        super().__init__()
        self.retry_after_seconds = retry_after_seconds


class Breaker:
    """Opens for ``open_seconds`` after ``failures`` in a row, then lets one call through to see."""

    def __init__(
        self,
        *,
        failures: int = 3,
        open_seconds: float = 1.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._limit = failures
        self._open_seconds = open_seconds
        self._clock = clock
        self._lock = threading.Lock()
        self._failed = 0
        self._opens_at = 0.0
        self._probing = False

    @contextmanager
    def watch(self, failure: type[BaseException]) -> Iterator[None]:
        """Run a call: ``failure`` counts, anything else proves the service alive. Raises CircuitOpen."""
        self._enter()
        try:
            yield
        except failure:
            self._count()
            raise
        except BaseException:
            self.close()
            raise
        self.close()

    def close(self) -> None:
        """Let calls through again: the service has answered."""
        with self._lock:
            self._failed = 0
            self._probing = False

    def _enter(self) -> None:
        with self._lock:
            if self._failed < self._limit:
                return
            left = self._opens_at - self._clock()
            if left > 0 or self._probing:
                raise CircuitOpen(max(left, self._open_seconds / 10))
            self._probing = True

    def _count(self) -> None:
        with self._lock:
            self._failed += 1
            self._probing = False
            self._opens_at = self._clock() + self._open_seconds
