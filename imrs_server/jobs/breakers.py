"""Tells the other servers what failed here, and moves breakers on when their time has come."""

from __future__ import annotations

from typing import TYPE_CHECKING

import structlog

from imrs_server.domain.breaker import Breaker, advanced
from imrs_server.domain.errors import DatabaseUnavailable
from imrs_server.jobs.loop import Loop
from imrs_server.storage import breakers, changes
from imrs_server.storage.changes import Change, Kind

if TYPE_CHECKING:
    from imrs_server.index.warm import Index
    from imrs_server.storage.database import Database, Tx
    from imrs_server.use_cases.breakers import Breakers

log = structlog.get_logger()

# What happens to many calls in a moment is written once.
REST_SECONDS = 0.05
RETRY_SECONDS = 1.0
# Whoever opens a breaker wakes us; this is for a word that was lost.
IDLE_SECONDS = 30.0
# Another server moves them on, or is just writing.
BUSY_SECONDS = 0.5
MOST = 500


class BreakerReports:
    """A thread that writes what this server's calls say, as soon as they say it."""

    def __init__(self, known: Breakers) -> None:
        self._known = known
        self._loop = Loop(
            "breaker_reports", self._next, retry_seconds=RETRY_SECONDS, rest_seconds=REST_SECONDS
        )
        known.listen(self._loop.wake)

    def start(self) -> None:
        self._loop.start()

    def stop(self) -> None:
        """End the thread and wait for it; what was not yet written is."""
        self._loop.stop()
        try:
            self._known.write()
        except DatabaseUnavailable:
            log.warning("breaker_reports.lost")

    def _next(self) -> float:
        self._known.write()
        self._known.forget()
        return IDLE_SECONDS


class BreakerSteps:
    """A thread that sleeps until the next breaker is due, and is woken when one opens.

    Every server runs one; a turn is one transaction under an advisory lock. With all of them away breakers
    stay as they are.
    """

    def __init__(self, database: Database, index: Index) -> None:
        self._database = database
        self._index = index
        self._loop = Loop("breakers", self._next, retry_seconds=RETRY_SECONDS, rest_seconds=REST_SECONDS)
        self._seen: object = None
        index.listen(self._hear)

    def start(self) -> None:
        self._loop.start()

    def stop(self) -> None:
        """End the thread and wait for it."""
        self._loop.stop()

    def turn(self) -> list[Breaker]:
        """Move on those that are due, unless another is at it. Raises DatabaseUnavailable."""
        with self._database.transaction() as tx:
            return move_on(tx) if breakers.lead(tx) else []

    def _hear(self) -> None:
        state = self._index.current
        if state is not None and state.breakers is not self._seen:
            self._seen = state.breakers
            self._loop.wake()

    def _next(self) -> float:
        for each in self.turn():
            log.info("breaker.moved", subject=str(each.subject), before=each.phase.value)
        with self._database.transaction() as tx:
            left_seconds = breakers.next_due_seconds(tx)
        if left_seconds is None:
            return IDLE_SECONDS
        return max(left_seconds, REST_SECONDS) if left_seconds > 0 else BUSY_SECONDS


def move_on(tx: Tx) -> list[Breaker]:
    """Move on those that are due, for who holds them; as they were before."""
    due, now = breakers.due(tx, most=MOST), breakers.time(tx)
    for each in due:
        after = advanced(each, now=now)
        if after is None:
            breakers.remove(tx, each.subject)
        else:
            breakers.put(tx, after)
    if due:
        changes.announce(tx, Change(Kind.COOLDOWN))
    return due
