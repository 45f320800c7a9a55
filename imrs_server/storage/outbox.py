"""The table ``outbox``: what is to be told elsewhere, written in the transaction that it tells of.

It holds one row a key, its newest version that was not delivered. Whoever delivers claims a row for a while;
a version that comes meanwhile takes the row and waits for that while to end, so an older version never
arrives after a newer one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from uuid import UUID

from psycopg.types.json import Jsonb

from imrs_server.domain.memory import Item
from imrs_server.storage import sql
from imrs_server.storage.shape import shape

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import timedelta

    from imrs_server.storage.database import Tx

__all__ = ["Claimed", "Item", "PutOff", "claim", "delivered", "put", "put_off", "trim"]

Q = sql.load(__file__)

KIND = "somabrain"


@dataclass(frozen=True, slots=True, kw_only=True)
class Claimed:
    """A version that this process may deliver now; ``attempts`` is how often that failed."""

    tenant_id: UUID
    item_id: UUID
    key: str
    payload: dict[str, Any]
    attempts: int


@dataclass(frozen=True, slots=True, kw_only=True)
class PutOff:
    """A version that was not delivered, when to try again and why.

    ``failed`` counts as an attempt; what is ``parked`` is not tried again by itself.
    """

    item: Claimed
    error: str
    wait_seconds: float = 0.0
    failed: bool = False
    parked: bool = False


def put(tx: Tx, items: Iterable[Item]) -> None:
    """Have items delivered once the transaction is committed, each in place of what its key has waiting.

    As ``imrs_app`` they must be of the transaction's tenant.
    """
    newest = {(each.tenant_id, each.key): each for each in items}
    if newest:
        Q.put.run(
            tx,
            kind=KIND,
            tenant_ids=[each.tenant_id for each in newest.values()],
            keys=[each.key for each in newest.values()],
            payloads=[Jsonb(each.payload) for each in newest.values()],
        )


def claim(tx: Tx, lease: timedelta, *, most: int) -> list[Claimed]:
    """Take what is due, the longest due first; nobody else gets it until the lease ends."""
    return Q.claim.all(tx, shape(Claimed), kind=KIND, lease=lease, most=most)


def delivered(tx: Tx, items: Sequence[Claimed]) -> None:
    """Forget versions that arrived; newer ones of their keys are due at once."""
    if items:
        Q.delivered.run(tx, kind=KIND, **_versions(items))


def put_off(tx: Tx, items: Sequence[PutOff]) -> None:
    """Give back versions that did not arrive; newer ones of their keys are due at once."""
    if items:
        Q.put_off.run(
            tx,
            kind=KIND,
            **_versions([each.item for each in items]),
            failed=[each.failed for each in items],
            parked=[each.parked for each in items],
            waits_seconds=[float(each.wait_seconds) for each in items],
            errors=[each.error for each in items],
        )


def trim(tx: Tx, *, keep: int, most: int) -> int:
    """Forget the oldest beyond ``keep`` rows, at most ``most`` of them; says how many."""
    return Q.trim.run(tx, kind=KIND, keep=keep, most=most)


def _versions(items: Sequence[Claimed]) -> dict[str, Any]:
    return {
        "tenant_ids": [each.tenant_id for each in items],
        "keys": [each.key for each in items],
        "item_ids": [each.item_id for each in items],
    }
