"""The table ``models``: the catalogue."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any

from psycopg.types.json import Jsonb

from imrs_server.domain.model import Model, Provenance
from imrs_server.domain.parameters import Parameters
from imrs_server.domain.sync import Action, ModelChange
from imrs_server.storage import model_filter, sql
from imrs_server.storage.listing import Listing
from imrs_server.storage.shape import shape

if TYPE_CHECKING:
    from imrs_server.domain.listing import Page, PageRequest
    from imrs_server.domain.model import BulkUpdate, ModelFilter
    from imrs_server.storage.database import Tx

Q = sql.load(__file__)

# Above every price that may be stored: in order of price, unknown ones come last.
_UNPRICED = Decimal(1_000_000_000)

_LISTING = Listing(
    key="model_id",
    orders={
        "model_id": ("models.model_id", "text"),
        "display_name": ("models.display_name", "text"),
        "priority": ("models.priority", "int"),
        "context_length": ("coalesce(models.context_length, 0)", "int"),
        "input_price_usd": ("coalesce(models.input_price_usd, 1000000000)", "numeric"),
        "create_time": ("models.create_time", "timestamptz"),
    },
    nulls={"context_length": 0, "input_price_usd": _UNPRICED},
)


def insert(tx: Tx, model: Model) -> Model | None:
    """The stored row; None when the id is taken."""
    return Q.insert.one(tx, shape(Model), **_columns(model))


def get(tx: Tx, model_id: str) -> Model | None:
    return Q.get.one(tx, shape(Model), model_id=model_id)


def hold(tx: Tx, provider_id: str = "") -> bool:
    """Keep syncs of a provider, or of all, from comparing and writing meanwhile: call it before ``lock``.

    Says whether there is such a provider.
    """
    return Q.hold.run(tx, provider_id=provider_id) > 0


def lock(tx: Tx, model_id: str) -> Model | None:
    """The row, held until the transaction ends; its synced_time may be older than what ``get`` shows."""
    return Q.lock.one(tx, shape(Model), model_id=model_id)


def update(tx: Tx, model: Model) -> None:
    """Store every field of a locked row that may change; its version rises by one."""
    Q.update.run(tx, **_columns(model))


def lose(tx: Tx, model_id: str) -> ModelChange | None:
    """Let a model be missing that a list has brought; None where it is not there, or missing already."""
    return Q.lose.one(
        tx,
        lambda row: ModelChange(
            provider_id=row["provider_id"],
            model_id=row["model_id"],
            action=Action.MISSING,
            before=row["before"],
            after=row["after"],
        ),
        model_id=model_id,
    )


def list_page(tx: Tx, request: PageRequest, filter: ModelFilter, *, show_deleted: bool) -> Page[Model]:
    return _LISTING.page(
        tx,
        model_filter.applied(Q.list, filter),
        shape(Model),
        request,
        show_deleted=show_deleted,
        **model_filter.parameters(filter),
    )


def count(tx: Tx, filter: ModelFilter) -> int:
    """How many models pass the filter; deleted ones do not."""
    found: int = model_filter.applied(Q.count, filter).value(tx, **model_filter.parameters(filter))
    return found


def count_differing(tx: Tx, filter: ModelFilter, wanted: BulkUpdate) -> int:
    """How many models ``update_matching`` would write."""
    query = model_filter.applied(Q.count_differing, filter)
    found: int = query.value(tx, **_bulk(filter, wanted))
    return found


def update_matching(tx: Tx, filter: ModelFilter, wanted: BulkUpdate) -> list[str]:
    """Set fields of every model that passes the filter, with provenance ADMIN.

    Returns the ids of the models that were not that way before.
    """
    query = model_filter.applied(Q.update_matching, filter)
    return query.all(tx, lambda row: str(row["model_id"]), **_bulk(filter, wanted))


def _bulk(filter: ModelFilter, wanted: BulkUpdate) -> dict[str, Any]:
    fields = {"available": wanted.available, "priority": wanted.priority, "cost_tier": wanted.cost_tier}
    provenance = {name: Provenance.ADMIN for name, value in fields.items() if value is not None}
    return {**fields, "provenance": Jsonb(provenance), **model_filter.parameters(filter)}


def _columns(model: Model) -> dict[str, Any]:
    return {
        "model_id": model.model_id,
        "provider_id": model.provider_id,
        "external_id": model.external_id,
        "display_name": model.display_name,
        "model_type": model.model_type,
        "capabilities": Jsonb(model.capabilities),
        "domains": Jsonb(model.domains),
        "priority": model.priority,
        "cost_tier": model.cost_tier,
        "context_length": model.context_length,
        "max_output_tokens": model.max_output_tokens,
        "price_state": model.price_state,
        "input_price_usd": model.input_price_usd,
        "output_price_usd": model.output_price_usd,
        "cached_input_price_usd": model.cached_input_price_usd,
        "parameters": shape(Parameters).column(model.parameters),
        "available": model.available,
        "lifecycle": model.lifecycle,
        "retire_time": model.retire_time,
        "provenance": Jsonb(model.provenance),
        "metadata": Jsonb(model.metadata),
        "delete_time": model.delete_time,
    }
