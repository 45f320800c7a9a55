"""The table ``defaults``: one row for everybody, and one a tenant."""

from __future__ import annotations

from typing import TYPE_CHECKING

from imrs_client.tasks import Rules
from imrs_server.domain.defaults import Defaults
from imrs_server.domain.parameters import Parameters
from imrs_server.domain.routing import RoutingPolicy
from imrs_server.storage import sql
from imrs_server.storage.shape import shape

if TYPE_CHECKING:
    from uuid import UUID

    from imrs_server.storage.database import Tx

Q = sql.load(__file__)


def get(tx: Tx, tenant_id: UUID | None) -> Defaults | None:
    """The row of a tenant; of everybody for None."""
    return Q.get.one(tx, shape(Defaults), tenant_id=tenant_id)


def claim(tx: Tx, tenant_id: UUID | None) -> None:
    """Keep others from writing the row until the transaction ends, also where there is none yet to lock."""
    Q.claim.run(tx, owner=str(tenant_id or ""))


def lock(tx: Tx, tenant_id: UUID | None) -> Defaults | None:
    """The row, held until the transaction ends."""
    return Q.lock.one(tx, shape(Defaults), tenant_id=tenant_id)


def put(tx: Tx, defaults: Defaults) -> Defaults:
    """Store every field; the version of a row that was there rises by one."""
    found = Q.put.one(
        tx,
        shape(Defaults),
        tenant_id=defaults.tenant_id,
        scope=defaults.scope,
        parameters=shape(Parameters).column(defaults.parameters),
        routing=shape(RoutingPolicy).column(defaults.routing),
        default_model_id=defaults.default_model_id,
        task_rules=shape(Rules).column(defaults.task_rules),
    )
    assert found is not None
    return found
