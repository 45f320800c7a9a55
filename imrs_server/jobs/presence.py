"""Tells the database that this process serves, so that every other one can say so."""

from __future__ import annotations

from typing import TYPE_CHECKING

import structlog

from imrs_server.domain.errors import DatabaseUnavailable
from imrs_server.jobs.loop import Loop
from imrs_server.storage import replicas

if TYPE_CHECKING:
    from collections.abc import Callable

    from imrs_server.domain.status import Replica
    from imrs_server.storage.database import Database

log = structlog.get_logger()

PERIOD_SECONDS = 5.0
FORGET_SECONDS = 86_400.0


class Presence:
    """A thread that tells of this process every few seconds; ``own`` is what it says."""

    def __init__(self, database: Database, own: Callable[[], Replica]) -> None:
        self._database = database
        self._own = own
        self._loop = Loop("presence", self._next, retry_seconds=PERIOD_SECONDS)

    def start(self) -> None:
        self._loop.start()

    def stop(self) -> None:
        """End the thread, and take leave."""
        self._loop.stop()
        try:
            with self._database.transaction() as tx:
                replicas.leave(tx, self._own().replica_id)
        except DatabaseUnavailable:
            log.info("presence.kept")

    def _next(self) -> float:
        with self._database.transaction() as tx:
            replicas.tell(tx, self._own())
            replicas.forget(tx, FORGET_SECONDS)
        return PERIOD_SECONDS
