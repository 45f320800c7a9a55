"""Looks now and then at what the database holds, for the figures."""

from __future__ import annotations

from typing import TYPE_CHECKING

from imrs_server.domain.errors import DatabaseUnavailable
from imrs_server.jobs.loop import Loop
from imrs_server.storage import inventory

if TYPE_CHECKING:
    from imrs_server.storage.database import Database
    from imrs_server.storage.inventory import Inventory

POLL_SECONDS = 5.0


class Stocktaking:
    """A thread; ``found`` is what it saw last, None before that, ``answers`` whether it can look."""

    def __init__(self, database: Database, *, poll_seconds: float = POLL_SECONDS) -> None:
        self._database = database
        self._poll_seconds = poll_seconds
        self._loop = Loop("stocktaking", self._next, retry_seconds=poll_seconds)
        self.found: Inventory | None = None
        self.answers = False

    def start(self) -> None:
        self._loop.start()

    def stop(self) -> None:
        """End the thread and wait for it."""
        self._loop.stop()

    def _next(self) -> float:
        try:
            with self._database.system() as tx:
                self.found = inventory.take(tx)
            self.answers = True
        except DatabaseUnavailable:
            # Who cannot do without it says so in the log.
            self.answers = False
        return self._poll_seconds
