"""The table ``issued_tokens``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from psycopg.types.json import Jsonb

from imrs_server.domain.token import IssuedToken
from imrs_server.storage import sql
from imrs_server.storage.listing import Listing
from imrs_server.storage.shape import shape

if TYPE_CHECKING:
    from uuid import UUID

    from imrs_server.domain.listing import Page, PageRequest
    from imrs_server.storage.database import Tx

Q = sql.load(__file__)

_LISTING = Listing(
    key="token_id",
    orders={
        "create_time": ("create_time", "timestamptz"),
        "expire_time": ("expire_time", "timestamptz"),
        "token_id": ("token_id", "uuid"),
    },
    hidden=frozenset({"token_id"}),
)


def insert(tx: Tx, token: IssuedToken) -> IssuedToken:
    found = Q.insert.one(
        tx,
        shape(IssuedToken),
        token_id=token.token_id,
        tenant_id=token.tenant_id,
        subject=token.subject,
        roles=Jsonb(list(token.roles)),
        agent_id=token.agent_id,
        issued_by=token.issued_by,
        expire_time=token.expire_time,
    )
    assert found is not None
    return found


def lock(tx: Tx, token_id: UUID) -> IssuedToken | None:
    """The row, held until the transaction ends; None where the transaction does not see one."""
    return Q.lock.one(tx, shape(IssuedToken), token_id=token_id)


def revoke(tx: Tx, token_id: UUID) -> IssuedToken:
    """A locked row, revoked now."""
    found = Q.revoke.one(tx, shape(IssuedToken), token_id=token_id)
    assert found is not None
    return found


def list_page(
    tx: Tx,
    request: PageRequest,
    *,
    tenant_id: UUID | None,
    token_id: UUID | None,
    agent_id: str,
    show_revoked: bool,
) -> Page[IssuedToken]:
    return _LISTING.page(
        tx,
        Q.list,
        shape(IssuedToken),
        request,
        tenant_id=tenant_id,
        token_id=token_id,
        agent_id=agent_id,
        show_revoked=show_revoked,
    )
