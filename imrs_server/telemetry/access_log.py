"""A line for every call, written by a thread: whoever serves the call only notes what it was."""

from __future__ import annotations

import threading
from collections import deque
from datetime import UTC, datetime
from time import time
from typing import TYPE_CHECKING, Protocol

import structlog

from imrs_server.telemetry import logs

if TYPE_CHECKING:
    from imrs_server.telemetry.logs import Call

log = structlog.get_logger()

CAPACITY = 20_000
PERIOD_SECONDS = 0.1


class Meter(Protocol):
    def started(self) -> None: ...

    def failed(self, reason: str) -> None: ...

    def ended(self, code: str, seconds: float) -> None: ...


class AccessLog:
    """Bounded: where calls end faster than lines are written, lines are dropped, and counted."""

    def __init__(self, *, capacity: int = CAPACITY, period_seconds: float = PERIOD_SECONDS) -> None:
        self._capacity = capacity
        self._period_seconds = period_seconds
        self._waiting: deque[tuple[str, str, float, float, Call | None]] = deque()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="access-log", daemon=True)
        self._told = 0
        self.dropped = 0

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """End the thread; what was noted until now is written."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join()
        self.write()

    def note(self, method: str, code: str, seconds: float) -> None:
        """To be called while it is the call in hand. Counting drops is exact but for races."""
        if len(self._waiting) >= self._capacity:
            self.dropped += 1
        else:
            self._waiting.append((method, code, seconds, time(), logs.call.get()))

    def write(self) -> None:
        """Write what was noted."""
        for _ in range(len(self._waiting)):
            method, code, seconds, end, call = self._waiting.popleft()
            log.info(
                "call",
                timestamp=datetime.fromtimestamp(end, UTC).isoformat().replace("+00:00", "Z"),
                method=method,
                code=code,
                ms=round(seconds * 1000, 3),
                **(call.facts if call else {}),
            )
        dropped = self.dropped
        if dropped != self._told:
            log.warning("access_log.dropped", lines=dropped - self._told)
            self._told = dropped

    def around(self, method: str, meter: Meter) -> Meter:
        """A meter of one method that notes its calls here as well."""
        return _Noting(self, method, meter)

    def _run(self) -> None:
        while not self._stopping.wait(self._period_seconds):
            self.write()


class _Noting:
    def __init__(self, access_log: AccessLog, method: str, meter: Meter) -> None:
        self._note = access_log.note
        self._method = method
        self._meter = meter
        self.started = meter.started
        self.failed = meter.failed

    def ended(self, code: str, seconds: float) -> None:
        self._meter.ended(code, seconds)
        self._note(self._method, code, seconds)
