"""The table ``providers``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from psycopg.types.json import Jsonb

from imrs_server.domain.provider import DataPolicy, Provider, ProviderType, State
from imrs_server.storage import sql
from imrs_server.storage.listing import Listing
from imrs_server.storage.shape import shape

if TYPE_CHECKING:
    from datetime import datetime

    from imrs_server.domain.listing import Page, PageRequest
    from imrs_server.storage.database import Tx

Q = sql.load(__file__)

_LISTING = Listing(
    key="provider_id",
    orders={
        "provider_id": ("provider_id", "text"),
        "display_name": ("display_name", "text"),
        "create_time": ("create_time", "timestamptz"),
        "update_time": ("update_time", "timestamptz"),
    },
)


def claim(tx: Tx, provider_id: str) -> None:
    """Let nobody else create a provider of this id until the transaction ends."""
    Q.claim.run(tx, provider_id=provider_id)


def insert(tx: Tx, provider: Provider) -> Provider:
    """The stored row, of an id that was claimed and is free."""
    found = Q.insert.one(tx, shape(Provider), **_columns(provider))
    assert found is not None
    return found


def get(tx: Tx, provider_id: str) -> Provider | None:
    return Q.get.one(tx, shape(Provider), provider_id=provider_id)


def lock(tx: Tx, provider_id: str) -> Provider | None:
    """The row, held until the transaction ends; without its model_count."""
    return Q.lock.one(tx, shape(Provider), provider_id=provider_id)


def update(tx: Tx, provider: Provider) -> Provider:
    """Store every field of a locked row; its version rises by one."""
    found = Q.update.one(tx, shape(Provider), **_columns(provider))
    assert found is not None
    return found


def list_page(
    tx: Tx,
    request: PageRequest,
    *,
    provider_type: ProviderType | None,
    state: State | None,
    show_deleted: bool,
) -> Page[Provider]:
    return _LISTING.page(
        tx,
        Q.list,
        shape(Provider),
        request,
        provider_type=provider_type,
        state=state,
        show_deleted=show_deleted or state is State.DELETED,
    )


def record_sync(tx: Tx, provider_id: str, *, synced_time: datetime | None, error: str) -> None:
    """Note how a sync ended; a failed one leaves the time of the last good one."""
    Q.record_sync.run(tx, provider_id=provider_id, synced_time=synced_time, error=error)


def due(tx: Tx) -> list[str]:
    """The providers whose next scheduled sync should have started, the longest waiting first."""
    return Q.due.all(tx, lambda row: str(row["provider_id"]))


def _columns(provider: Provider) -> dict[str, Any]:
    return {
        "provider_id": provider.provider_id,
        "display_name": provider.display_name,
        "provider_type": provider.provider_type,
        "dialect": provider.dialect,
        "api_base": provider.api_base,
        "models_endpoint": provider.models_endpoint,
        "options": Jsonb(provider.options),
        "pool_url": provider.pool_url,
        "rate_limit_rpm": provider.rate_limit_rpm,
        "sync_interval": provider.sync_interval,
        "data_policy": shape(DataPolicy).column(provider.data_policy),
        "state": provider.state,
        "key_version": provider.key_version,
        "delete_time": provider.delete_time,
        "created_by": provider.created_by,
    }
