"""Idempotency keys: the same request_id with the same request gets the first answer again."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from psycopg.types.json import Jsonb

from imrs_server.domain.errors import IdempotencyMismatch
from imrs_server.domain.written import Written
from imrs_server.storage import sql
from imrs_server.storage.shape import shape

if TYPE_CHECKING:
    from uuid import UUID

    from imrs_server.storage.database import Tx

Q = sql.load(__file__)
T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Key:
    """A request_id, who used it and for what. ``request_hash`` is SHA-256 of the request without it."""

    method: str
    caller: str
    request_id: str
    request_hash: bytes

    @property
    def stored(self) -> str:
        """Of bounded length, and another one for each caller."""
        return hashlib.sha256(f"{self.caller}\0{self.request_id}".encode()).hexdigest()


def first_answer(tx: Tx, tenant_id: UUID | None, key: Key | None, cls: type[T]) -> Written[T] | None:
    """Claim the key: None when this call is the first, else the answer that the first one got.

    A call with the same key that is still running is waited for. Raises IdempotencyMismatch when the key
    was used with another request.
    """
    if key is None:
        return None
    Q.lock.run(tx, name=f"{tenant_id}/{key.method}/{key.stored}")
    found = Q.find.one(tx, dict, tenant_id=tenant_id, method=key.method, key=key.stored)
    if found is None:
        return None
    if bytes(found["request_hash"]) != key.request_hash:
        raise IdempotencyMismatch(request_id=key.request_id)
    return Written(shape(cls)(found["response"]["value"]), found["response"]["revision"])


def keep(tx: Tx, tenant_id: UUID | None, key: Key | None, answer: Written[T]) -> Written[T]:
    """Store the answer under the key, in the transaction of the write; returns it."""
    if key is not None:
        value = shape(type(answer.value)).json(answer.value)
        Q.keep.run(
            tx,
            tenant_id=tenant_id,
            method=key.method,
            key=key.stored,
            request_hash=key.request_hash,
            response=Jsonb({"value": value, "revision": answer.revision}),
        )
    return answer
