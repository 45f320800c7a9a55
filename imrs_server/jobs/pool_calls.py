"""Tells how many calls of this process run at which endpoint: people, and who unloads what is idle."""

from __future__ import annotations

from typing import TYPE_CHECKING
from uuid import uuid4

import structlog

from imrs_server.domain.errors import DatabaseUnavailable
from imrs_server.jobs.loop import Loop
from imrs_server.storage import endpoints

if TYPE_CHECKING:
    from imrs_server.storage.database import Database
    from imrs_server.use_cases.pool import Pool

log = structlog.get_logger()

PERIOD_SECONDS = 1.0


class PoolCalls:
    """A thread that tells the database once a second how many calls of this process run at which endpoint."""

    def __init__(self, database: Database, pool: Pool) -> None:
        self._database = database
        self._pool = pool
        self._process_id = uuid4()
        self._untold: dict[str, int] = {}
        self._loop = Loop("pool_calls", self._next, retry_seconds=PERIOD_SECONDS)

    def start(self) -> None:
        self._loop.start()

    def stop(self) -> None:
        """End the thread and wait for it; the calls that it told of are over by then."""
        self._loop.stop()
        try:
            self._tell()
        except DatabaseUnavailable:
            log.info("pool_calls.lost")

    def _next(self) -> float:
        self._tell()
        return PERIOD_SECONDS

    def _tell(self) -> None:
        self._untold |= self._pool.take_news()
        if not self._untold:
            return
        with self._database.transaction() as tx:
            endpoints.count_calls(tx, self._process_id, self._untold)
        self._untold = {}
