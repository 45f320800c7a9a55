"""A PostgreSQL cluster that hands out migrated databases: a fresh one takes some 25 ms."""

from __future__ import annotations

import uuid
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, LiteralString

import psycopg
from psycopg import sql
from psycopg.conninfo import make_conninfo

from imrs_server.storage import migrate
from imrs_server.storage.partitions import Table
from tests.support.schema import NOW

if TYPE_CHECKING:
    from collections.abc import Iterator

LOCK = 0x74657374


@dataclass(frozen=True, slots=True)
class Cluster:
    """A server by the DSN of its superuser; `template` is the name of a migrated database."""

    dsn: str
    template: str

    def dsn_of(self, database: str) -> str:
        return make_conninfo(self.dsn, dbname=database)

    @contextmanager
    def database(self, *, migrated: bool = True) -> Iterator[str]:
        """Make a database, yield its DSN, drop it with whatever is still connected."""
        name, template = unique("imrs_test"), self.template if migrated else "template0"
        with psycopg.connect(self.dsn, autocommit=True) as admin:
            run(admin, "create database {} template {} strategy file_copy", name, template)
            try:
                yield self.dsn_of(name)
            finally:
                run(admin, "drop database {} with (force)", name)


@contextmanager
def prepared(dsn: str) -> Iterator[Cluster]:
    """Make the template in the server at `dsn`; drop it afterwards."""
    cluster = Cluster(dsn, unique("imrs_template"))
    with psycopg.connect(dsn, autocommit=True) as admin:
        run(admin, "create database {}", cluster.template)
        try:
            # Roles belong to the whole server, so parallel test runs on one server take turns.
            admin.execute("select pg_advisory_lock(%s)", (LOCK,))
            migrate.apply(cluster.dsn_of(cluster.template))
            admin.execute("select pg_advisory_unlock(%s)", (LOCK,))
            _reach_back(cluster.dsn_of(cluster.template))
            yield cluster
        finally:
            run(admin, "drop database {} with (force)", cluster.template)


def _reach_back(dsn: str) -> None:
    """To the month in which this run began, should that be over."""
    with psycopg.connect(dsn) as connection:
        for table in Table:
            connection.execute("select ensure_partition(%s, %s)", (table, NOW))


def unique(prefix: str) -> str:
    return f"{prefix}_{uuid.uuid4().hex[:12]}"


def run(admin: psycopg.Connection, text: LiteralString, *names: str) -> None:
    admin.execute(sql.SQL(text).format(*map(sql.Identifier, names)))
