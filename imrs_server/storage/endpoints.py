"""The tables ``endpoints`` and ``endpoint_calls``: places of the model pool, and the calls that run there.

Loading and unloading take turns: ``begin`` is a conditional update that succeeds for one, on whichever
server, and ``end`` counts only while nobody else has begun since.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from imrs_server.domain.endpoint import Endpoint, EndpointState
from imrs_server.storage import sql
from imrs_server.storage.listing import Listing
from imrs_server.storage.shape import shape

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping
    from uuid import UUID

    from imrs_server.domain.listing import Page, PageRequest
    from imrs_server.storage.database import Tx
    from imrs_server.storage.sql import Row

Q = sql.load(__file__)

_LISTING = Listing(
    key="endpoint_id",
    orders={
        "endpoint_id": ("endpoint_id", "text"),
        "model_id": ("model_id", "text"),
        "last_used_time": ("coalesce(last_used_time, '-infinity')", "timestamptz"),
    },
    nulls={"last_used_time": "-infinity"},
)

LEASE = timedelta(seconds=75)
"""For so long somebody who loads or unloads is waited for; then he is taken for dead."""

REST = timedelta(seconds=5)
"""The shortest idle time: servers tell of their calls a second late."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """An endpoint, and what the job of the pool has to do with it.

    ``due`` is one that is DOWN and should be looked at again, ``idle`` one whose ttl has passed.
    """

    endpoint: Endpoint
    due: bool
    idle: bool


def claim_model(tx: Tx, model_id: str) -> None:
    """Let nobody else set an endpoint of this model until the transaction ends."""
    Q.claim_model.run(tx, model_id=model_id)


def claim(tx: Tx, endpoint_id: str) -> None:
    """Let nobody else set the endpoint of this id until the transaction ends, also where there is none yet.

    Whoever writes one takes its models (``claim_model``), then its id, then its row; of each in order.
    """
    Q.claim.run(tx, endpoint_id=endpoint_id)


def put(tx: Tx, endpoint: Endpoint) -> Endpoint:
    """Store it in place of what had the id; its state counts only where the place is a new one."""
    found = Q.put.one(
        tx,
        shape(Endpoint),
        endpoint_id=endpoint.endpoint_id,
        model_id=endpoint.model_id,
        base_url=endpoint.base_url,
        weight=endpoint.weight,
        ttl=endpoint.ttl,
        state=endpoint.state,
    )
    assert found is not None
    return found


def at(tx: Tx, model_id: str, base_url: str) -> Endpoint | None:
    """The endpoint of a model with that address, or placed there."""
    return Q.at.one(tx, shape(Endpoint), model_id=model_id, base_url=base_url)


def get(tx: Tx, endpoint_id: str) -> Endpoint | None:
    return Q.get.one(tx, shape(Endpoint), endpoint_id=endpoint_id)


def lock(tx: Tx, endpoint_id: str) -> Endpoint | None:
    """The row, held until the transaction ends; without its calls."""
    return Q.lock.one(tx, shape(Endpoint), endpoint_id=endpoint_id)


def hold(tx: Tx, endpoint_ids: Collection[str]) -> set[str]:
    """Let nobody else write these until the transaction ends; the models that they serve."""
    return set(Q.hold.all(tx, lambda row: str(row["model_id"]), endpoint_ids=list(endpoint_ids)))


def count(tx: Tx, model_id: str) -> int:
    """How many endpoints the model has."""
    found: int = Q.count.value(tx, model_id=model_id)
    return found


def delete(tx: Tx, endpoint_id: str) -> None:
    Q.delete.run(tx, endpoint_id=endpoint_id)


def list_page(tx: Tx, request: PageRequest, *, model_id: str, state: EndpointState | None) -> Page[Endpoint]:
    return _LISTING.page(tx, Q.list, shape(Endpoint), request, model_id=model_id, state=state)


def begin(
    tx: Tx, endpoint_id: str, busy_id: UUID, state: EndpointState, *, unless: EndpointState
) -> Endpoint | None:
    """Be the one who loads or unloads it; None where it is ``unless`` already, or somebody is at it."""
    return Q.begin.one(
        tx,
        shape(Endpoint),
        endpoint_id=endpoint_id,
        busy_id=busy_id,
        state=state,
        unless=unless,
        seconds=LEASE.total_seconds(),
    )


def begin_idle(tx: Tx, endpoint_id: str, busy_id: UUID) -> Endpoint | None:
    """Be the one who unloads it because it is idle; None where it is not, or somebody is at it."""
    return Q.begin_idle.one(
        tx,
        shape(Endpoint),
        endpoint_id=endpoint_id,
        busy_id=busy_id,
        seconds=LEASE.total_seconds(),
        rest=REST,
    )


def end(
    tx: Tx,
    endpoint_id: str,
    busy_id: UUID,
    state: EndpointState,
    *,
    memory_bytes: int | None = None,
    load_error: str = "",
    placed_url: str | None = None,
) -> Endpoint | None:
    """What became of it; None where somebody else has begun since, or it is gone.

    ``placed_url`` is where it serves from now on, None where that is as before.
    """
    return Q.end.one(
        tx,
        shape(Endpoint),
        endpoint_id=endpoint_id,
        busy_id=busy_id,
        state=state,
        memory_bytes=memory_bytes,
        load_error=load_error,
        placed_url=placed_url,
    )


def see(
    tx: Tx,
    endpoint: Endpoint,
    state: EndpointState,
    *,
    memory_bytes: int | None = None,
    load_error: str = "",
    placed_url: str | None = None,
) -> Endpoint | None:
    """Note what was seen there; None where it changed since ``endpoint`` was read."""
    return Q.see.one(
        tx,
        shape(Endpoint),
        endpoint_id=endpoint.endpoint_id,
        was=endpoint.state,
        state=state,
        memory_bytes=memory_bytes,
        load_error=load_error,
        placed_url=placed_url,
    )


def postpone(tx: Tx, endpoint_id: str, load_error: str) -> None:
    """It is still DOWN, and is looked at again later."""
    Q.postpone.run(tx, endpoint_id=endpoint_id, load_error=load_error)


def tasks(tx: Tx) -> list[Task]:
    """All endpoints, with what there is to do."""
    return Q.all.all(tx, _task, rest=REST)


def count_calls(tx: Tx, process_id: UUID, in_flight: Mapping[str, int]) -> None:
    """Tell how many calls of this process run now, by endpoint."""
    Q.count_calls.run(
        tx, process_id=process_id, endpoint_ids=list(in_flight), in_flights=list(in_flight.values())
    )


def calls(tx: Tx, endpoint_id: str) -> int:
    """Calls that run there now, over all servers."""
    found: int = Q.calls.value(tx, endpoint_id=endpoint_id)
    return found


def fold_calls(tx: Tx) -> None:
    """Forget processes that have told nothing for an hour, but not when they used an endpoint last."""
    Q.fold_calls.run(tx)


def _task(row: Row) -> Task:
    return Task(endpoint=shape(Endpoint)(row), due=bool(row["due"]), idle=bool(row["idle"]))
