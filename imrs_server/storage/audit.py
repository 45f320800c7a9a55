"""The audit log: written in the transaction of the change, so that neither exists without the other."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from psycopg.types.json import Jsonb

from imrs_client.ids import new_id
from imrs_server.storage import sql
from imrs_server.storage.shape import shape

if TYPE_CHECKING:
    from uuid import UUID

    from imrs_server.domain.principal import Principal
    from imrs_server.storage.database import Tx

Q = sql.load(__file__)


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
        target_type=target[0],
        target_id=target[1],
        before=_column(before),
        after=_column(after),
    )


def _column(value: Any) -> Jsonb | None:
    if isinstance(value, dict):
        return Jsonb(value)
    return None if value is None else shape(type(value)).column(value)
