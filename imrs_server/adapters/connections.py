"""Connections that outlive a call: the next one to the same place saves the handshakes.

Each was checked when it was made, and goes where it went then; so none is kept for long, for names move.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable

    import httpcore

    from imrs_server.adapters.network import Deadline, GuardedBackend

# Load balancers let go of silent connections after a minute.
IDLE_SECONDS = 50.0
AGE_SECONDS = 300.0


class Place(NamedTuple):
    """Where calls go, and by which way: connections to equal places are interchangeable."""

    scheme: str
    host: str
    port: int
    is_proxied: bool


class Line:
    """At most one connection, for one call at a time. ``pool`` makes it where there is none that is open."""

    __slots__ = ("_made_time", "backend", "idle_time", "place", "pool")

    def __init__(
        self, place: Place, pool: httpcore.ConnectionPool, backend: GuardedBackend, now: float
    ) -> None:
        self.place = place
        self.pool = pool
        self.backend = backend
        self.idle_time = now
        self._made_time = now

    @property
    def is_reused(self) -> bool:
        """Whether the call that has it found its connection open."""
        return not self.backend.has_connected

    @property
    def is_idle(self) -> bool:
        """Whether the answer was read to its end, so that another call can follow."""
        return any(each.is_idle() and not each.is_closed() for each in self.pool.connections)

    def is_old(self, now: float) -> bool:
        return now - self.idle_time > IDLE_SECONDS or now - self._made_time > AGE_SECONDS

    def close(self) -> None:
        self.pool.close()


class Connections:
    """The lines of a client, of which at most ``most`` are kept while nobody calls. Thread-safe."""

    def __init__(
        self,
        make: Callable[[Place, Deadline], Line],
        most: int,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._make = make
        self._most = most
        self._clock = clock
        self._lock = threading.Lock()
        self._idle: dict[Place, deque[Line]] = {}
        self._count = 0

    def take(self, place: Place, deadline: Deadline, *, fresh: bool = False) -> Line:
        """The line to a place that was used last, or a new one."""
        line = None if fresh or not self._count else self._kept(place)
        if line is None:
            return self._make(place, deadline)
        line.backend.begin(deadline)
        return line

    def give(self, line: Line) -> None:
        """Take it back from a call that has ended."""
        if not self._most or not line.is_idle:
            line.close()
            return
        now = self._clock()
        line.idle_time = now
        with self._lock:
            self._idle.setdefault(line.place, deque()).append(line)
            self._count += 1
            surplus = self._surplus(now)
        for each in surplus:
            each.close()

    def close(self) -> None:
        """Close what is kept."""
        with self._lock:
            kept = [each for lines in self._idle.values() for each in lines]
            self._idle.clear()
            self._count = 0
        for each in kept:
            each.close()

    def _kept(self, place: Place) -> Line | None:
        now = self._clock()
        with self._lock:
            surplus = self._surplus(now)
            lines = self._idle.get(place)
            found = lines.pop() if lines else None
            if found is not None:
                self._count -= 1
                if found.is_old(now):
                    surplus.append(found)
                    found = None
        for each in surplus:
            each.close()
        return found

    def _surplus(self, now: float) -> list[Line]:
        """Take out those that are old, and the one that was idle longest where there are too many."""
        found: list[Line] = []
        for place in tuple(self._idle):
            lines = self._idle[place]
            while lines and lines[0].is_old(now):
                found.append(lines.popleft())
            if not lines:
                del self._idle[place]
        self._count -= len(found)
        if self._count > self._most:
            found.append(min(self._idle.values(), key=lambda lines: lines[0].idle_time).popleft())
            self._count -= 1
        return found
