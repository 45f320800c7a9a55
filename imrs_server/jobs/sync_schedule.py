"""Syncs providers by themselves, each as often as its sync_interval says."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING

import structlog

from imrs_server.domain import principal
from imrs_server.domain.errors import DomainError
from imrs_server.jobs.loop import Loop
from imrs_server.storage import exclusive, providers

if TYPE_CHECKING:
    from imrs_server.storage.database import Database
    from imrs_server.use_cases.sync import Sync

log = structlog.get_logger()

POLL_SECONDS = 10.0
SYSTEM = principal.system("sync_schedule")


class SyncSchedule:
    """A thread that looks every few seconds which providers are due, and syncs them one after the other.

    Every server runs one; who holds the lock of the database does it. When a provider is due, its row says:
    the interval and up to a tenth after the last attempt, whoever made it; after failures a minute, then
    twice as long each time. A failed sync leaves the catalogue as it was and its reason in last_sync_error.
    """

    def __init__(self, database: Database, sync: Sync, *, poll_seconds: float = POLL_SECONDS) -> None:
        self._database = database
        self._sync = sync
        self._poll_seconds = poll_seconds
        self._loop = Loop("sync_schedule", self._next, retry_seconds=poll_seconds)

    def start(self) -> None:
        self._loop.start()

    def stop(self) -> None:
        """End the thread and wait for it; a sync that is running ends at its next step, without a trace."""
        self._loop.stop()

    def turn(self) -> int:
        """Sync what is due; says how many providers were tried. Raises DatabaseUnavailable."""
        if not self._due():
            return 0
        with exclusive.held(self._database, "imrs.job.sync_schedule") as alone:
            # Again, for another server may just have done it.
            due = self._due() if alone else []
            for provider_id in due:
                if self._loop.stopping:
                    break
                self._one(provider_id)
        return len(due)

    def _due(self) -> list[str]:
        with self._database.transaction() as tx:
            return providers.due(tx)

    def _one(self, provider_id: str) -> None:
        try:
            with closing(self._sync.run(SYSTEM, provider_id)) as steps:
                for step in steps:
                    if self._loop.stopping:
                        return
                    if step.result is not None:
                        log.info(
                            "sync.done",
                            provider_id=provider_id,
                            models=step.result.models_discovered,
                            added=step.result.models_added,
                            missing=step.result.models_missing,
                        )
        except DomainError as error:
            log.warning("sync.failed", provider_id=provider_id, reason=error.reason)
        except Exception:  # one provider's trouble is not the others'
            log.exception("sync.failed", provider_id=provider_id)

    def _next(self) -> float:
        self.turn()
        return self._poll_seconds
