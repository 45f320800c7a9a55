"""Breakers that are not closed, shared by all servers; times are those of the database's clock."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

from imrs_server.domain.breaker import Breaker, Subject, SubjectKind
from imrs_server.storage import sql
from imrs_server.storage.shape import shape

if TYPE_CHECKING:
    from datetime import datetime

    from imrs_server.storage.database import Tx

Q = sql.load(__file__)


def hold(tx: Tx) -> None:
    """Be the only one who changes breakers, until the transaction ends."""
    Q.hold.run(tx)


def lead(tx: Tx) -> bool:
    """The same, unless somebody else is."""
    return bool(Q.lead.value(tx))


def time(tx: Tx) -> datetime:
    """What the database's clock says."""
    found: datetime = Q.time.value(tx)
    return found


def open_ones(tx: Tx) -> list[Breaker]:
    """All that are not closed."""
    return Q.open_ones.all(tx, shape(Breaker))


def get(tx: Tx, subject: Subject) -> Breaker | None:
    return Q.get.one(tx, shape(Breaker), kind=subject.kind, subject_id=subject.subject_id)


def due(tx: Tx, *, most: int) -> list[Breaker]:
    """Those that are to move on, the latest first."""
    return Q.due.all(tx, shape(Breaker), most=most)


def next_due_seconds(tx: Tx) -> float | None:
    """How long until the next is to move on; None where none is left."""
    found: float | None = Q.next_due.value(tx)
    return None if found is None else max(0.0, found)


def generation(tx: Tx) -> int:
    """A new number for a phase."""
    found: int = Q.generation.value(tx)
    return found


def put(tx: Tx, breaker: Breaker) -> None:
    Q.put.run(tx, **asdict(breaker))


def remove(tx: Tx, subject: Subject) -> None:
    """It is closed, and nothing is remembered."""
    Q.remove.run(tx, kind=subject.kind, subject_id=subject.subject_id)


def close(tx: Tx, subject: Subject) -> bool:
    """Close what is open, of a provider also of its models and their endpoints; whether anything was."""
    if subject.kind is SubjectKind.PROVIDER:
        return Q.close_provider.run(tx, provider_id=subject.subject_id) > 0
    return Q.remove.run(tx, kind=subject.kind, subject_id=subject.subject_id) > 0
