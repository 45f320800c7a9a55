"""Monthly partitions, by UTC months: made ahead of time, and once more where an insert finds none.

The work is done by ``ensure_partition`` in the database, which runs as the owner of the tables: the roles
that serve requests own nothing.
"""

from __future__ import annotations

from contextlib import contextmanager
from datetime import UTC, datetime
from enum import StrEnum
from typing import TYPE_CHECKING, TypeVar

import psycopg

from imrs_server.domain.errors import InvalidRequest, Violation
from imrs_server.storage import sql

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from imrs_server.storage.database import Database, Tx

Q = sql.load(__file__)
T = TypeVar("T")

MONTHS_AHEAD = 3


class Table(StrEnum):
    """The partitioned tables."""

    DECISIONS = "decisions"
    MESSAGES = "messages"
    FEEDBACK = "feedback"
    AUDIT_EVENTS = "audit_events"


def supported(tx: Tx) -> bool:
    """Whether the schema is new enough to have partitions."""
    return bool(Q.supported.value(tx))


def horizon(now: datetime) -> datetime:
    """The month up to which partitions are made ahead."""
    utc = now.astimezone(UTC)
    years, month = divmod(utc.month - 1 + MONTHS_AHEAD, 12)
    return datetime(utc.year + years, month + 1, 1, tzinfo=UTC)


def ensure(tx: Tx, until: datetime) -> list[str]:
    """Make the partitions of every table from this month to the month of ``until``; names those it made.

    Safe to run anywhere at any time: callers take turns, and what is there is left alone.
    """
    return Q.ensure.all(tx, lambda row: str(row["partition"]), tables=list(Table), until=until)


def ensure_month(tx: Tx, table: Table, time: datetime) -> bool:
    """Make the partition that a row of that time needs; says whether it was missing.

    For an insert that failed because ``is_missing``: roll back, call this in a transaction of its own, and
    insert once more. Raises InvalidRequest for a time that is too far from now to be true.
    """
    try:
        return bool(Q.ensure_month.value(tx, table=table, time=time))
    except psycopg.errors.DatetimeFieldOverflow as error:
        raise InvalidRequest(
            Violation("message_id", "the time inside the id must be after 2019 and less than a year ahead")
        ) from error


def is_missing(error: Exception) -> bool:
    """Whether an insert failed for want of a partition. A check constraint fails with the same SQLSTATE."""
    return isinstance(error, psycopg.errors.CheckViolation) and error.diag.constraint_name is None


class MissingPartition(Exception):
    """A row has no place: the month of its time has no partition yet."""

    def __init__(self, table: Table, time: datetime) -> None:
        self.table, self.time = table, time
        super().__init__(f"there is no partition of {table} for {time}")


@contextmanager
def needing(table: Table, time: datetime) -> Iterator[None]:
    """Around an insert: raises MissingPartition where that is what it failed for."""
    try:
        yield
    except psycopg.errors.CheckViolation as error:
        if is_missing(error):
            raise MissingPartition(table, time) from error
        raise


def healing(database: Database, work: Callable[[], T]) -> T:
    """Do work that is a transaction of its own; make the partition that it misses, once, and do it again.

    Raises InvalidRequest for a time that is too far from now to be true.
    """
    try:
        return work()
    except MissingPartition as missing:
        with database.transaction() as tx:
            ensure_month(tx, missing.table, missing.time)
        return work()
