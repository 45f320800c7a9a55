"""How this server is doing."""

from __future__ import annotations

import os
import socket
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from time import monotonic
from typing import TYPE_CHECKING

import imrs_server
from imrs_server.adapters.vault import VaultState
from imrs_server.domain.breaker import SubjectKind
from imrs_server.domain.errors import DatabaseUnavailable
from imrs_server.domain.listing import PageRequest
from imrs_server.domain.principal import Role
from imrs_server.domain.provider import State
from imrs_server.domain.status import Component, Health, Replica, Status
from imrs_server.storage import diagnosis, providers, replicas

if TYPE_CHECKING:
    from collections.abc import Iterator

    from imrs_server.adapters.vault import Vault
    from imrs_server.domain.breaker import Breaker
    from imrs_server.domain.principal import Principal
    from imrs_server.domain.provider import Provider
    from imrs_server.index.warm import Index
    from imrs_server.storage.database import Database

MAX_PROVIDERS = 1000
MAX_COOLDOWNS = 1000
MAX_REPLICAS = 1000
# Three times what they are heard of in.
SILENT_SECONDS = 15.0

_OF_VAULT = {
    VaultState.OK: Component(health=Health.UP),
    VaultState.SEALED: Component(health=Health.DEGRADED, detail="sealed; an operator must unseal it"),
    VaultState.FORBIDDEN: Component(
        health=Health.DEGRADED, detail="refuses this server; check its role and policy"
    ),
    VaultState.UNREACHABLE: Component(health=Health.DOWN, detail="does not answer"),
}


class StatusReport:
    """For platform admins. Answers whatever is down."""

    def __init__(self, database: Database, vault: Vault, index: Index) -> None:
        self._database = database
        self._vault = vault
        self._index = index
        self._start_time = datetime.now(UTC)
        self._model_counts: dict[str, int] = {}

    def get(self, who: Principal) -> Status:
        """The parts are asked now. With the database down, providers are as they were last known."""
        who.require(Role.PLATFORM_ADMIN)
        database, found, others = self._ask_database()
        own, index = self.own(), self._index
        return Status(
            index_age=timedelta(seconds=index.age_seconds),
            database=database,
            vault=self._ask_vault(),
            providers=tuple([index.vault.provider(each) for each in found]),
            replica=own,
            others=tuple(each for each in others if each.replica_id != own.replica_id),
            breakers=tuple(self._breakers()),
        )

    def own(self) -> Replica:
        """What this process says of itself."""
        return Replica(
            replica_id=f"{socket.gethostname()}:{os.getpid()}",
            version=imrs_server.__version__,
            index_revision=self._index.revision,
            listener_connected=self._index.connected,
            start_time=self._start_time,
            seen_time=datetime.now(UTC),
        )

    def _ask_database(self) -> tuple[Component, list[Provider], list[Replica]]:
        start = monotonic()
        try:
            with self._database.transaction() as tx:
                page = providers.list_page(
                    tx, PageRequest(size=MAX_PROVIDERS), provider_type=None, state=None, show_deleted=False
                )
                heard = replicas.heard(tx, SILENT_SECONDS, MAX_REPLICAS)
                version, clock_ahead = diagnosis.version(tx), diagnosis.ahead(tx)
        except DatabaseUnavailable:
            down = Component(health=Health.DOWN, detail="does not answer", latency_ms=_ms_since(start))
            return down, list(self._remembered()), []
        self._model_counts = {each.provider_id: each.model_count for each in page.items}
        up = Component(
            health=Health.UP, latency_ms=_ms_since(start), version=version, clock_ahead=clock_ahead
        )
        return up, page.items, heard

    def _remembered(self) -> Iterator[Provider]:
        state = self._index.current
        for each in state.providers.values() if state else ():
            if each.state is not State.DELETED:
                yield replace(each, model_count=self._model_counts.get(each.provider_id, 0))

    def _breakers(self) -> list[Breaker]:
        state = self._index.current
        known = state.breakers.values() if state else ()
        shown = (each for each in known if each.share < 1 and each.kind is not SubjectKind.ENDPOINT)
        return sorted(shown, key=lambda each: (each.share, each.subject_id))[:MAX_COOLDOWNS]

    def _ask_vault(self) -> Component:
        start = monotonic()
        told = _OF_VAULT[self._vault.check()]
        return Component(health=told.health, detail=told.detail, latency_ms=_ms_since(start))


def _ms_since(start: float) -> int:
    return round((monotonic() - start) * 1000)
