"""RevertSync: what one sync changed is put back, where nobody has changed it since."""

from __future__ import annotations

from typing import TYPE_CHECKING

from imrs_server.domain.errors import InvalidRequest, ProviderNotFound, SyncInProgress, Violation
from imrs_server.domain.principal import Role
from imrs_server.domain.provider import State
from imrs_server.domain.revert import undone
from imrs_server.domain.sync import SyncResult
from imrs_server.domain.written import Written
from imrs_server.storage import audit, changes, exclusive, providers, revert
from imrs_server.use_cases import catalogue_feed

if TYPE_CHECKING:
    from datetime import datetime

    from imrs_server.domain.principal import Principal
    from imrs_server.storage.database import Database, Tx


class Reverts:
    """Any sync in the history can be undone, an undoing too. The next sync takes the provider's list anew."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def revert(self, who: Principal, provider_id: str, synced_time: datetime) -> Written[SyncResult]:
        """Undo the sync of that time.

        The result counts the models that it had changed: ``models_updated`` were put back,
        ``models_unchanged`` are left, for everything about them has changed since. Its ``synced_time`` names
        the undoing. Raises ProviderNotFound, SyncInProgress, and InvalidRequest for a time at which no sync
        changed anything.
        """
        who.require(Role.PLATFORM_ADMIN)
        with (
            exclusive.held(self._database, f"imrs.sync.{provider_id}") as alone,
            self._database.system() as tx,
        ):
            provider = providers.lock(tx, provider_id)
            if provider is None or provider.state is State.DELETED:
                raise ProviderNotFound(provider_id=provider_id)
            if not alone:
                raise SyncInProgress(provider_id=provider_id)
            if not revert.known(tx, provider_id, synced_time):
                raise InvalidRequest(
                    Violation("synced_time", "must be the synced_time of a sync that changed something")
                )
            return _revert(tx, who, provider_id, synced_time)


def _revert(tx: Tx, who: Principal, provider_id: str, synced_time: datetime) -> Written[SyncResult]:
    written: list[str] = []
    seen = 0
    for batch in revert.batches(tx, provider_id, synced_time):
        seen += len(batch)
        undos = {change.model_id: undone(change, current) for change, current in batch}
        wanted = {model_id: undo for model_id, undo in undos.items() if undo is not None}
        if wanted:
            written += revert.write(tx, provider_id, synced_time, wanted)
    result = SyncResult(
        provider_id=provider_id,
        models_discovered=seen,
        models_added=0,
        models_updated=len(written),
        models_unchanged=seen - len(written),
        models_missing=0,
        models_invalid=0,
        synced_time=revert.time(tx) if written else None,
    )
    if not written:
        return Written(result, changes.current(tx).rev)
    audit.write(
        tx,
        who,
        "RevertSync",
        ("provider", provider_id),
        before={"synced_time": synced_time.isoformat()},
        after=result,
    )
    return Written(result, catalogue_feed.announce(tx, written))
