"""What a database holds that somebody should know of before it is too much, too little or too old."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from imrs_server.storage import sql
from imrs_server.storage.partitions import Table
from imrs_server.storage.shape import shape

if TYPE_CHECKING:
    from imrs_server.storage.database import Tx

Q = sql.load(__file__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Outbox:
    """Rows that wait to be told and that are parked, of the oldest 100,000; and the age of the oldest."""

    waiting: int
    parked: int
    oldest_seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Synced:
    """How long ago a provider was synced, None for never, and whether the last try failed."""

    provider_id: str
    failing: bool
    age_seconds: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Inventory:
    """``months_ahead`` is how many months after this one have a partition in every table."""

    outbox: Outbox
    months_ahead: int
    synced: tuple[Synced, ...]
    endpoints: dict[str, int]
    """Of the model pool, how many are in each state."""


def take(tx: Tx) -> Inventory:
    """Look at everything once."""
    outbox = Q.outbox.one(tx, shape(Outbox))
    assert outbox is not None
    return Inventory(
        outbox=outbox,
        months_ahead=Q.partitions.value(tx, tables=list(Table)) or 0,
        synced=tuple(Q.syncs.all(tx, shape(Synced))),
        endpoints=dict(Q.endpoints.all(tx, lambda row: (str(row["state"]), int(row["endpoints"])))),
    )
