"""The model pool of a server."""

from __future__ import annotations

from typing import TYPE_CHECKING

from imrs_server.jobs.pool_calls import PoolCalls
from imrs_server.jobs.pool_watch import PoolWatch
from imrs_server.use_cases.endpoints import Endpoints
from imrs_server.use_cases.loading import Loading
from imrs_server.use_cases.pool import Pool

if TYPE_CHECKING:
    from imrs_server.adapters.addresses import AddressRules
    from imrs_server.adapters.http import GuardedClient
    from imrs_server.adapters.vault import Vault
    from imrs_server.index.warm import Index
    from imrs_server.storage.database import Database
    from imrs_server.use_cases.breakers import Breakers
    from imrs_server.wiring.part import Part


class ModelPool:
    """``client`` tries once, and waits as long as a load may take; who ``leads`` has the job of the pool."""

    def __init__(
        self,
        database: Database,
        vault: Vault,
        index: Index,
        breakers: Breakers,
        rules: AddressRules,
        client: GuardedClient,
        *,
        leads: bool,
    ) -> None:
        self.loading = Loading(database, vault, client)
        self.endpoints = Endpoints(database, self.loading, rules)
        self.pool = Pool(index, self.loading, breakers)
        self.watch = PoolWatch(database, self.loading)
        calls = PoolCalls(database, self.pool)
        self.parts: tuple[Part, ...] = (self.loading, calls, *((self.watch,) if leads else ()))
