"""Makes the partitions of the coming months, at start and then daily."""

from __future__ import annotations

import threading
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import structlog

from imrs_server.storage import partitions

if TYPE_CHECKING:
    from imrs_server.storage.database import Database

log = structlog.get_logger()

DAY_SECONDS = 24 * 3600
RETRY_SECONDS = 60


class PartitionLoop:
    """A thread that keeps three months of partitions ahead.

    Every server runs one: callers take turns under an advisory lock in the database, and a turn that finds
    nothing to do costs a few catalogue look-ups.
    """

    def __init__(
        self, database: Database, *, period_seconds: float = DAY_SECONDS, retry_seconds: float = RETRY_SECONDS
    ) -> None:
        self._database = database
        self._period_seconds = period_seconds
        self._retry_seconds = retry_seconds
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="partitions", daemon=True)

    @property
    def running(self) -> bool:
        return self._thread.is_alive()

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """End the thread and wait for it."""
        self._stopping.set()
        self._thread.join()

    def _run(self) -> None:
        wait_seconds = 0.0
        while not self._stopping.wait(wait_seconds):
            wait_seconds = self._period_seconds if self._turn() else self._retry_seconds

    def _turn(self) -> bool:
        try:
            with self._database.system() as tx:
                made = partitions.ensure(tx, partitions.horizon(datetime.now(UTC)))
        except Exception:  # the loop outlives whatever a turn runs into; in three months it would matter
            log.exception("partitions.failed", retry_seconds=self._retry_seconds)
            return False
        if made:
            log.info("partitions.made", partitions=made)
        return True
