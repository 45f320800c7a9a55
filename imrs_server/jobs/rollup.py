"""Turns votes into evidence, so that the next decision knows of them."""

from __future__ import annotations

import threading
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import structlog

from imrs_server.domain.errors import DomainError
from imrs_server.domain.feedback import PENDING_UNTIL
from imrs_server.storage import changes, evidence, feedback
from imrs_server.storage.changes import Change, Kind

if TYPE_CHECKING:
    from imrs_server.storage.database import Database

log = structlog.get_logger()

POLL_SECONDS = 1.0
SOON_SECONDS = 0.02
RETRY_SECONDS = 2.0
_REST_SECONDS = 0.02


class Rollup:
    """A thread that takes turns: at once when woken, else at every poll for votes that other servers took.

    Every server runs one. A turn is one transaction under an advisory lock, so in the whole database one
    counts at a time, and evidence, how far it reaches and its revision are committed together or not at all.
    ``dropped`` counts the votes that waited in vain for their message.
    """

    def __init__(self, database: Database, *, poll_seconds: float = POLL_SECONDS) -> None:
        self._database = database
        self._poll_seconds = poll_seconds
        self._woken = threading.Event()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="rollup", daemon=True)
        self.dropped = 0

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """End the thread and wait for it."""
        self._stopping.set()
        self._woken.set()
        self._thread.join()

    def wake(self) -> None:
        """There are votes to count. Takes no lock that is held over I/O."""
        self._woken.set()

    def turn(self) -> bool:
        """Count what was committed since the last turn; says whether there is more to count soon.

        Raises DatabaseUnavailable.
        """
        with self._database.system() as tx:
            if not evidence.lead(tx):
                return True
            feedback.settle_decided(tx)
            dropped = feedback.drop_pending(tx, datetime.now(UTC) - PENDING_UNTIL)
            window = evidence.window(tx)
            if window.from_scratch:
                evidence.clear(tx)
            moved = evidence.recompute(tx, window)
            if window.from_scratch:
                moved = [Change(Kind.EVIDENCE)]
            if moved:
                evidence.advance(tx, window)
                changes.announce(tx, *moved)
        if dropped:
            self.dropped += dropped
            log.warning("feedback.dropped", votes=dropped, detail="no message came within an hour")
        return window.more

    def _run(self) -> None:
        wait_seconds = 0.0
        while True:
            self._woken.wait(wait_seconds)
            if self._stopping.is_set():
                return
            self._woken.clear()
            wait_seconds = self._next(wait_seconds)
            # Votes that come one by one are counted by the dozen.
            self._stopping.wait(_REST_SECONDS)

    def _next(self, waited_seconds: float) -> float:
        try:
            more = self.turn()
        except DomainError as error:
            log.warning("rollup.failed", reason=error.reason, retry_seconds=RETRY_SECONDS)
            return RETRY_SECONDS
        except Exception:
            # The thread outlives what nobody foresaw: without it nothing is learned any more.
            log.exception("rollup.failed", retry_seconds=RETRY_SECONDS)
            return RETRY_SECONDS
        if not more:
            return self._poll_seconds
        # Somebody else's transaction stands in the way, or somebody else counts: look again, ever less often.
        return min(max(SOON_SECONDS, 2 * waited_seconds), self._poll_seconds)
