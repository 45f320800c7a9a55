"""Makes the partitions of the coming months, at start and then daily."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import structlog

from imrs_server.jobs.loop import Loop
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
        self._loop = Loop("partitions", self._turn, retry_seconds=retry_seconds)

    @property
    def running(self) -> bool:
        return self._loop.running

    def start(self) -> None:
        self._loop.start()

    def stop(self) -> None:
        """End the thread and wait for it."""
        self._loop.stop()

    def _turn(self) -> float:
        with self._database.system() as tx:
            made = partitions.ensure(tx, partitions.horizon(datetime.now(UTC)))
        if made:
            log.info("partitions.made", partitions=made)
        return self._period_seconds
