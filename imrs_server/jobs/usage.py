"""Adds up calls by day, so that a month of usage is a few thousand rows to read."""

from __future__ import annotations

from typing import TYPE_CHECKING

from imrs_server.jobs.loop import Loop
from imrs_server.storage import usage

if TYPE_CHECKING:
    from imrs_server.storage.database import Database

PERIOD_SECONDS = 15.0
RETRY_SECONDS = 15.0


class UsageRollup:
    """A thread that takes a turn every few seconds.

    Every server runs one, and in the whole database one adds up at a time. Reports do not wait for it: they
    read by themselves what it has not yet added up.
    """

    def __init__(self, database: Database, *, period_seconds: float = PERIOD_SECONDS) -> None:
        self._database = database
        self._period_seconds = period_seconds
        self._loop = Loop("usage", self._next, retry_seconds=RETRY_SECONDS)

    def start(self) -> None:
        self._loop.start()

    def stop(self) -> None:
        """End the thread and wait for it."""
        self._loop.stop()

    def turn(self) -> None:
        """Add up what was committed since the last turn. Raises DatabaseUnavailable."""
        with self._database.system() as tx:
            if not usage.lead(tx):
                return
            window = usage.window(tx)
            if window.from_scratch:
                usage.restart(tx)
            if usage.count(tx, window) or window.from_scratch:
                usage.advance(tx, window)

    def _next(self) -> float:
        self.turn()
        return self._period_seconds
