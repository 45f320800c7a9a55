"""Stores messages of calls that ended while the database was away."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from imrs_server.domain.errors import DatabaseUnavailable
from imrs_server.jobs.loop import Loop

if TYPE_CHECKING:
    from imrs_server.use_cases.late_messages import LateMessages

PERIOD_SECONDS = 1.0


class LateMessageDelivery:
    """A thread that looks every second; where nothing is late that costs nothing."""

    def __init__(self, late: LateMessages, *, period_seconds: float = PERIOD_SECONDS) -> None:
        self._late = late
        self._period_seconds = period_seconds
        self._loop = Loop("late_messages", self._next, retry_seconds=period_seconds)

    def start(self) -> None:
        self._loop.start()

    def stop(self) -> None:
        """End the thread, after a last try."""
        self._loop.stop()
        self._next()
        self._late.give_up()

    def _next(self) -> float:
        # A line each second would say no more than the one when the index lost the database.
        with suppress(DatabaseUnavailable):
            self._late.write()
        return self._period_seconds
