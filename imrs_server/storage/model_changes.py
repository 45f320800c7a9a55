"""The table ``model_changes``: what each sync changed."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from psycopg.types.json import Jsonb

from imrs_client.ids import new_id
from imrs_server.domain.sync import ModelChange
from imrs_server.storage import sql
from imrs_server.storage.listing import Listing
from imrs_server.storage.shape import shape

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from imrs_server.domain.listing import Page, PageRequest
    from imrs_server.storage.database import Tx

Q = sql.load(__file__)

_LISTING = Listing(
    key="change_id",
    orders={"create_time": ("create_time", "timestamptz"), "change_id": ("change_id", "uuid")},
    hidden=frozenset({"change_id"}),
)


def log(tx: Tx, changes: Sequence[ModelChange]) -> None:
    """Note changes that no list brought; the time of all of them is now."""
    rows = [{**shape(ModelChange).json(each), "change_id": str(new_id())} for each in changes]
    Q.log.run(tx, changes=Jsonb(rows))


def list_page(
    tx: Tx,
    request: PageRequest,
    *,
    model_id: str,
    provider_id: str,
    start_time: datetime | None,
    end_time: datetime | None,
) -> Page[ModelChange]:
    """Changes of one model or of one provider's models, the newest first where no order is asked for."""
    return _LISTING.page(
        tx,
        Q.list_of_model if model_id else Q.list_of_provider,
        shape(ModelChange),
        replace(request, order_by=request.order_by or "create_time desc"),
        model_id=model_id,
        provider_id=provider_id,
        start_time=start_time,
        end_time=end_time,
    )
