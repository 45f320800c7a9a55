"""How a database is, for the operator: what it is, what it lacks, whether it passes news on."""

from __future__ import annotations

import secrets
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import psycopg
from psycopg import sql as composed
from psycopg.rows import dict_row

from imrs_server.domain.errors import DatabaseUnavailable
from imrs_server.storage import partitions, sql
from imrs_server.storage.database import conninfo

if TYPE_CHECKING:
    from collections.abc import Iterator
    from uuid import UUID

    from imrs_server.storage.database import Tx

Q = sql.load(__file__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """The server, and who the DSN logs in as. ``connections`` is how many clients it takes at once."""

    version: int
    standby: bool
    login: str
    superuser: bool
    connections: int
    connected: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ServingRole:
    """A role that serves calls: whether it is there, may pass row-level security, and may be taken on."""

    name: str
    present: bool
    bypasses: bool
    granted: bool


@contextmanager
def session(dsn: str) -> Iterator[Tx]:
    """A connection of its own, as the login of the DSN. Raises DatabaseUnavailable."""
    try:
        with psycopg.connect(
            conninfo(dsn, application="imrs-doctor"), autocommit=True, row_factory=dict_row
        ) as tx:
            yield tx
    except psycopg.OperationalError as error:
        raise DatabaseUnavailable from error


def server(tx: Tx) -> Server:
    found = Q.server.one(tx, lambda row: Server(**row))
    assert found is not None
    return found


def version(tx: Tx) -> str:
    """What people call it, such as PostgreSQL 18.1."""
    return str(Q.version.value(tx))


def roles(tx: Tx) -> list[ServingRole]:
    return Q.roles.all(tx, lambda row: ServingRole(**row))


def searches_fast(tx: Tx) -> bool:
    """Whether the extension is there without which a search reads the whole catalogue."""
    return bool(Q.search_extension.value(tx))


def missing_months(tx: Tx, until: datetime) -> list[tuple[str, datetime]]:
    """Tables with the months from now to ``until`` that they have no partition for."""
    tables = list(partitions.Table)
    return Q.months.all(tx, lambda row: (row["parent"], row["month"]), tables=tables, until=until)


def ahead(tx: Tx) -> timedelta:
    """How far the database's clock is ahead of this machine's, at least: it was read while that was asked."""
    asked = datetime.now(UTC)
    there: datetime = Q.clock.value(tx)
    answered = datetime.now(UTC)
    return max(there - answered, timedelta(0)) or min(there - asked, timedelta(0))


def epoch(tx: Tx) -> UUID | None:
    """What tells this database from all others; None without our schema, or where the login may not look."""
    try:
        found: UUID | None = Q.epoch.value(tx)
    except (psycopg.errors.UndefinedTable, psycopg.errors.InsufficientPrivilege):
        return None
    return found


def passes_on(listening: Tx, telling: Tx, *, timeout_seconds: float) -> bool:
    """Whether what one connection tells, the other hears. On a channel that no server listens to."""
    channel = f"imrs_doctor_{secrets.token_hex(8)}"
    listening.execute(composed.SQL("listen {}").format(composed.Identifier(channel)))
    telling.execute("select pg_notify(%s, '')", [channel])
    heard = any(True for _ in listening.notifies(timeout=timeout_seconds, stop_after=1))
    listening.execute(composed.SQL("unlisten {}").format(composed.Identifier(channel)))
    return heard
