"""The table ``preferences``: by class of agents, for all tenants."""

from __future__ import annotations

from typing import TYPE_CHECKING

from psycopg.types.json import Jsonb

from imrs_server.domain.parameters import Parameters
from imrs_server.domain.preference import Preference
from imrs_server.storage import sql
from imrs_server.storage.listing import Listing
from imrs_server.storage.shape import shape

if TYPE_CHECKING:
    from imrs_server.domain.listing import Page, PageRequest
    from imrs_server.storage.database import Tx

Q = sql.load(__file__)

_LISTING = Listing(key="agent_class", orders={"agent_class": ("agent_class", "text")})


def claim(tx: Tx, agent_class: str) -> None:
    """Keep others from setting it until the transaction ends, also where there is none yet to lock."""
    Q.claim.run(tx, agent_class=agent_class)


def put(tx: Tx, preference: Preference) -> Preference:
    """Store it in place of what the class had; its version rises by one."""
    found = Q.put.one(
        tx,
        shape(Preference),
        agent_class=preference.agent_class,
        model_ids=Jsonb(list(preference.model_ids)),
        parameters=shape(Parameters).column(preference.parameters),
    )
    assert found is not None
    return found


def get(tx: Tx, agent_class: str) -> Preference | None:
    return Q.get.one(tx, shape(Preference), agent_class=agent_class)


def lock(tx: Tx, agent_class: str) -> Preference | None:
    """The row, held until the transaction ends."""
    return Q.lock.one(tx, shape(Preference), agent_class=agent_class)


def delete(tx: Tx, agent_class: str) -> None:
    Q.delete.run(tx, agent_class=agent_class)


def list_page(tx: Tx, request: PageRequest) -> Page[Preference]:
    return _LISTING.page(tx, Q.list, shape(Preference), request)
