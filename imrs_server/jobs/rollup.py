"""Turns votes, calls and decisions into evidence, so that the next decision knows of them."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import structlog

from imrs_server.domain.feedback import PENDING_UNTIL
from imrs_server.jobs import counting
from imrs_server.jobs.loop import Loop
from imrs_server.storage import evidence, feedback
from imrs_server.use_cases import settling

if TYPE_CHECKING:
    from imrs_server.jobs.counting import Drift
    from imrs_server.storage.database import Database

log = structlog.get_logger()

POLL_SECONDS = 1.0
SOON_SECONDS = 0.02
RETRY_SECONDS = 2.0
_REST_SECONDS = 0.05


class Rollup:
    """A thread that takes turns: at once when woken, else at every poll, for decisions, and for votes that
    other servers took.

    Every server runs one. A turn is one transaction under an advisory lock, so in the whole database one
    counts at a time, and evidence, how far it reaches and its revision are committed together or not at all.
    ``dropped`` counts the votes that waited in vain for their message; ``with_memory`` has a memory store
    told of those that waited for their decision.
    """

    def __init__(
        self, database: Database, *, poll_seconds: float = POLL_SECONDS, with_memory: bool = False
    ) -> None:
        self._database = database
        self._with_memory = with_memory
        self._poll_seconds = poll_seconds
        self._wait_seconds = 0.0
        # Votes that come one by one are counted by the dozen.
        self._loop = Loop("rollup", self._next, retry_seconds=RETRY_SECONDS, rest_seconds=_REST_SECONDS)
        self.dropped = 0

    def start(self) -> None:
        self._loop.start()

    def stop(self) -> None:
        """End the thread and wait for it."""
        self._loop.stop()

    def wake(self) -> None:
        """There are votes to count. Takes no lock that is held over I/O."""
        self._loop.wake()

    def turn(self) -> bool:
        """Count what was committed since the last turn; says whether there is more to count soon.

        Raises DatabaseUnavailable.
        """
        with self._database.system() as tx:
            if not evidence.lead(tx):
                return True
            settling.settle_decided(tx, with_memory=self._with_memory)
            dropped = feedback.drop_pending(tx, datetime.now(UTC) - PENDING_UNTIL)
            window = counting.take_turn(tx)
        if dropped:
            self.dropped += dropped
            log.warning("feedback.dropped", votes=dropped, detail="no message came within an hour")
        return window.more

    def rebuild(self) -> Drift:
        """Count everything anew from the rows that are kept; says how far the evidence had drifted from them.

        Raises DatabaseUnavailable, also where another server goes on counting for seconds.
        """
        with self._database.system() as tx:
            evidence.lead_at_last(tx)
            return counting.rebuild(tx)

    def _next(self) -> float:
        if self.turn():
            # Another's transaction stands in the way, or another counts: look again, ever less often.
            self._wait_seconds = min(max(SOON_SECONDS, 2 * self._wait_seconds), self._poll_seconds)
            return self._wait_seconds
        self._wait_seconds = 0.0
        return self._poll_seconds
