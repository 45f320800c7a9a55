"""Removes keys that a crash left in Vault: written there, and never noted in the database."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import structlog

from imrs_server.jobs.loop import Loop
from imrs_server.storage import agent_keys, changes, exclusive, providers

if TYPE_CHECKING:
    from uuid import UUID

    from imrs_server.adapters.vault import Vault
    from imrs_server.domain.credential import CredentialPath
    from imrs_server.storage.database import Database, Tx

log = structlog.get_logger()

GRACE_SECONDS = 600.0
PERIOD_SECONDS = 3600.0
RETRY_SECONDS = 60.0


class OrphanSweep:
    """A thread that sweeps at start and every hour, one server of a database at a time.

    Swept is what this database wrote more than ``grace_seconds`` ago and notes nowhere. A deleted provider or
    agent keeps its key, because it may come back. Keys that somebody else put there, or that were written
    under another epoch of the database, stay: after a restore from a backup the database no longer knows of
    keys that are in use.
    """

    def __init__(
        self,
        database: Database,
        vault: Vault,
        *,
        grace_seconds: float = GRACE_SECONDS,
        period_seconds: float = PERIOD_SECONDS,
    ) -> None:
        self._database = database
        self._vault = vault
        self._grace = timedelta(seconds=grace_seconds)
        self._period_seconds = period_seconds
        self._loop = Loop("orphans", self._next, retry_seconds=RETRY_SECONDS)

    def start(self) -> None:
        self._loop.start()

    def stop(self) -> None:
        """End the thread and wait for it."""
        self._loop.stop()

    def turn(self) -> list[CredentialPath]:
        """Sweep once; the paths that were removed. Raises DatabaseUnavailable and what Vault may raise."""
        with exclusive.held(self._database, "imrs.orphans") as alone:
            if not alone:
                return []
            with self._database.system() as tx:
                owner = changes.current(tx).epoch
            return [
                path for path in self._vault.paths() if self._is_orphan(path, owner) and self._remove(path)
            ]

    def _is_orphan(self, path: CredentialPath, owner: UUID) -> bool:
        with self._database.system() as tx:
            if _is_noted(tx, path):
                return False
        return self._is_old(path) and self._vault.owner(path) == str(owner)

    def _remove(self, path: CredentialPath) -> bool:
        with self._database.system() as tx:
            # Nobody can note it now, and who noted it meanwhile is seen.
            (agent_keys.claim(tx, path) if path.agent_id else providers.claim(tx, path.provider_id))
            if _is_noted(tx, path) or not self._is_old(path):
                return False
            self._vault.delete(path)
        log.warning("key.removed", path=path.shown, detail="neither a provider nor an agent has it")
        return True

    def _is_old(self, path: CredentialPath) -> bool:
        found = self._vault.look(path)
        return found is not None and datetime.now(UTC) - found.update_time > self._grace

    def _next(self) -> float:
        self.turn()
        return self._period_seconds


def _is_noted(tx: Tx, path: CredentialPath) -> bool:
    if path.agent_id is None:
        return providers.get(tx, path.provider_id) is not None
    return agent_keys.get(tx, path) is not None
