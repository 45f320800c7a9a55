"""Retires models whose time has come between two syncs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import structlog

from imrs_server.domain.sync import MISSING_GRACE
from imrs_server.jobs.loop import Loop
from imrs_server.storage import lifecycle, model_changes, models
from imrs_server.use_cases import catalogue_feed

if TYPE_CHECKING:
    from datetime import timedelta

    from imrs_server.storage.database import Database

log = structlog.get_logger()

HOUR_SECONDS = 3600.0
RETRY_SECONDS = 60.0
MAX_RETIRED = 5000


class Lifecycle:
    """A thread that looks every hour: MISSING for longer than the grace, or past its retire_time, is RETIRED.

    Every server runs one; a turn is one transaction under an advisory lock. What syncs find in time, they
    retire themselves.
    """

    def __init__(
        self,
        database: Database,
        *,
        missing_grace: timedelta = MISSING_GRACE,
        period_seconds: float = HOUR_SECONDS,
    ) -> None:
        self._database = database
        self._missing_grace = missing_grace
        self._period_seconds = period_seconds
        self._loop = Loop("lifecycle", self._next, retry_seconds=min(RETRY_SECONDS, period_seconds))

    def start(self) -> None:
        self._loop.start()

    def stop(self) -> None:
        """End the thread and wait for it."""
        self._loop.stop()

    def turn(self) -> int:
        """Retire up to 5,000 models; says how many. Raises DatabaseUnavailable."""
        with self._database.system() as tx:
            if not lifecycle.lead(tx):
                return 0
            # No sync may decide by what they were a moment ago.
            models.hold(tx)
            retired = lifecycle.retire(tx, self._missing_grace, most=MAX_RETIRED)
            if retired:
                model_changes.log(tx, retired)
                catalogue_feed.announce(tx, [each.model_id for each in retired])
        if retired:
            log.info("models.retired", models=len(retired))
        return len(retired)

    def _next(self) -> float:
        return 0.0 if self.turn() == MAX_RETIRED else self._period_seconds
