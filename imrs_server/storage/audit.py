"""The audit log: written in the transaction of the change, so that neither exists without the other."""

from __future__ import annotations

from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any

from psycopg.types.json import Jsonb

from imrs_client.ids import new_id
from imrs_server.domain.audit import AuditEvent
from imrs_server.storage import sql
from imrs_server.storage.listing import Listing
from imrs_server.storage.shape import shape
from imrs_server.telemetry.logs import call_id

if TYPE_CHECKING:
    from uuid import UUID

    from imrs_server.domain.audit import AuditFilter
    from imrs_server.domain.listing import Page, PageRequest
    from imrs_server.domain.principal import Principal
    from imrs_server.storage.database import Tx

Q = sql.load(__file__)

_LISTING = Listing(
    key="event_id",
    orders={"create_time": ("create_time", "timestamptz"), "event_id": ("event_id", "uuid")},
    hidden=frozenset({"event_id"}),
)


def write(
    tx: Tx,
    who: Principal,
    method: str,
    target: tuple[str, str],
    *,
    before: object | None = None,
    after: object | None = None,
    tenant_id: UUID | None = None,
) -> None:
    """Record a change of ``target`` (type, id), with the dataclass before and after it."""
    Q.write.run(
        tx,
        event_id=new_id(),
        tenant_id=tenant_id,
        actor=who.subject,
        roles=sorted(who.roles),
        method=method,
        request_id=call_id(),
        target_type=target[0],
        target_id=target[1],
        before=_column(before),
        after=_column(after),
    )


def list_page(tx: Tx, request: PageRequest, tenant_id: UUID | None, filter: AuditFilter) -> Page[AuditEvent]:
    """Changes of one tenant's things, or of all things, the newest first where no order is asked for."""
    newest = replace(request, order_by=request.order_by or "create_time desc")
    return _LISTING.page(tx, Q.list, shape(AuditEvent), newest, tenant_id=tenant_id, **asdict(filter))


def _column(value: Any) -> Jsonb | None:
    if isinstance(value, dict):
        return Jsonb(value)
    return None if value is None else shape(type(value)).column(value)
