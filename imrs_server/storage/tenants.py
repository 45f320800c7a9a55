"""The table ``tenants``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from imrs_server.domain.tenant import Tenant
from imrs_server.storage import sql
from imrs_server.storage.listing import Listing
from imrs_server.storage.shape import shape

if TYPE_CHECKING:
    from uuid import UUID

    from imrs_server.domain.listing import Page, PageRequest
    from imrs_server.storage.database import Tx

Q = sql.load(__file__)

_LISTING = Listing(
    key="tenant_id",
    orders={
        "tenant_id": ("tenant_id", "uuid"),
        "display_name": ("display_name", "text"),
        "create_time": ("create_time", "timestamptz"),
    },
)


def put(tx: Tx, tenant: Tenant) -> Tenant:
    """Give a tenant its name, whether it was seen before or not."""
    found = Q.put.one(tx, shape(Tenant), tenant_id=tenant.tenant_id, display_name=tenant.display_name)
    assert found is not None
    return found


def note(tx: Tx, tenant_id: UUID) -> None:
    """Remember that a tenant is there; one that is known stays as it is."""
    Q.note.run(tx, tenant_id=tenant_id)


def get(tx: Tx, tenant_id: UUID) -> Tenant | None:
    return Q.get.one(tx, shape(Tenant), tenant_id=tenant_id)


def list_page(tx: Tx, request: PageRequest) -> Page[Tenant]:
    return _LISTING.page(tx, Q.list, shape(Tenant), request)
