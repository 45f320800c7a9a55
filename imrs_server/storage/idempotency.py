"""Idempotency keys: the same request_id with the same request gets the first answer again."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from psycopg.types.json import Jsonb

from imrs_server.domain.errors import IdempotencyMismatch
from imrs_server.domain.written import Written
from imrs_server.storage import sql
from imrs_server.storage.shape import shape

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
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
    answer = None if found is None else _answer(found, key, cls)
    if isinstance(answer, IdempotencyMismatch):
        raise answer
    return answer


def keep(tx: Tx, tenant_id: UUID | None, key: Key | None, answer: Written[T]) -> Written[T]:
    """Store the answer under the key, in the transaction of the write; returns it."""
    if key is not None:
        Q.keep.run(
            tx,
            tenant_id=tenant_id,
            method=key.method,
            key=key.stored,
            request_hash=key.request_hash,
            response=_response(answer),
        )
    return answer


def try_lock(tx: Tx, keys: Sequence[tuple[UUID, Key]]) -> Callable[[], list[bool]]:
    """Lock keys of any tenants without waiting; answers for each whether it is locked now."""
    names = [f"{tenant_id}/{key.method}/{key.stored}" for tenant_id, key in keys]
    return Q.try_lock.ask(tx, lambda row: bool(row["locked"]), names=names)


def first_answers(
    tx: Tx, keys: Sequence[tuple[UUID, Key]], cls: type[T]
) -> Callable[[], list[Written[T] | IdempotencyMismatch | None]]:
    """For each locked key what ``first_answer`` gives, or the error that it raises."""
    rows = Q.find_all.ask(
        tx,
        dict,
        tenant_ids=[tenant_id for tenant_id, _ in keys],
        methods=[key.method for _, key in keys],
        keys=[key.stored for _, key in keys],
    )
    return lambda: [
        None if row["request_hash"] is None else _answer(row, key, cls)
        for row, (_, key) in zip(rows(), keys, strict=True)
    ]


def keep_all(tx: Tx, answers: Sequence[tuple[UUID, Key, Written[T]]]) -> None:
    """Store the answers of many tenants under their keys, no key twice."""
    Q.keep_all.run(
        tx,
        tenant_ids=[tenant_id for tenant_id, _, _ in answers],
        methods=[key.method for _, key, _ in answers],
        keys=[key.stored for _, key, _ in answers],
        request_hashes=[key.request_hash for _, key, _ in answers],
        responses=[_response(answer) for _, _, answer in answers],
    )


def _answer(row: Mapping[str, Any], key: Key, cls: type[T]) -> Written[T] | IdempotencyMismatch:
    if bytes(row["request_hash"]) != key.request_hash:
        return IdempotencyMismatch(request_id=key.request_id)
    return Written(shape(cls)(row["response"]["value"]), row["response"]["revision"])


def _response(answer: Written[T]) -> Jsonb:
    return Jsonb({"value": shape(type(answer.value)).json(answer.value), "revision": answer.revision})
