"""Complete, for servers that are tested for something else."""

from __future__ import annotations

from typing import TYPE_CHECKING

from imrs_server.adapters.http import GuardedClient
from imrs_server.adapters.vault import Vault
from imrs_server.use_cases.breakers import Breakers
from imrs_server.use_cases.call_rates import CallRates
from imrs_server.use_cases.catalog import Catalog
from imrs_server.use_cases.complete import Completions
from imrs_server.use_cases.late_messages import LateMessages
from imrs_server.use_cases.loading import Loading
from imrs_server.use_cases.messages import Messages
from imrs_server.use_cases.pacing import Pacing
from imrs_server.use_cases.pool import Pool
from imrs_server.use_cases.spending import Spending

if TYPE_CHECKING:
    from imrs_server.index.warm import Index
    from imrs_server.storage.database import Database
    from imrs_server.use_cases.route import Router


def without_keys(database: Database, index: Index, router: Router) -> Completions:
    """The real one, with a Vault that is not there."""
    messages = Messages(database, flush_decisions=lambda: None, wake_rollup=lambda: None)
    breakers = Breakers(database, index)
    vault, client = Vault("http://127.0.0.1:9", role_id=str, secret_id=str), GuardedClient()
    return Completions(
        router,
        index,
        vault,
        messages,
        Catalog(database),
        client,
        Pacing(breakers, CallRates(database)),
        Spending(database, index),
        LateMessages(messages),
        Pool(index, Loading(database, vault, client), breakers),
    )
