"""A server that takes no writes, such as one that was the primary until a moment ago."""

from __future__ import annotations

from typing import TYPE_CHECKING

import psycopg
import pytest

from imrs_server.domain.errors import DatabaseUnavailable
from imrs_server.storage import tenants
from tests.support import patience
from tests.support.cluster import run
from tests.support.schema import HERE
from tests.support.waiting import eventually

if TYPE_CHECKING:
    from collections.abc import Iterator

    from imrs_server.storage.database import Database

TAKES_NONE = "alter database {} set default_transaction_read_only = on"
TAKES_ALL = "alter database {} reset default_transaction_read_only"


@pytest.fixture
def admin(database: str) -> Iterator[psycopg.Connection]:
    """A session of before, which may still write."""
    with psycopg.connect(database, autocommit=True) as connection:
        yield connection


@pytest.fixture
def read_only(database: str, admin: psycopg.Connection) -> Iterator[Database]:
    run(admin, TAKES_NONE, admin.info.dbname)
    with patience.database(database, app_connections=1, system_connections=1) as opened:
        yield opened


def write(db: Database) -> None:
    with db.transaction(HERE) as tx:
        tenants.note(tx, HERE)


def writes(db: Database) -> bool:
    try:
        write(db)
    except DatabaseUnavailable:
        return False
    return True


def test_a_write_is_refused_as_one_while_the_database_is_away(read_only: Database) -> None:
    with pytest.raises(DatabaseUnavailable):
        write(read_only)
    with pytest.raises(DatabaseUnavailable), read_only.system() as tx:
        tenants.note(tx, HERE)
    with read_only.transaction() as tx:
        assert tx.execute("select 1 as one").fetchone() == {"one": 1}


def test_the_next_write_goes_to_who_takes_it(read_only: Database, admin: psycopg.Connection) -> None:
    """The connection is not used again: it stays with the server that takes none."""
    with pytest.raises(DatabaseUnavailable):
        write(read_only)
    run(admin, TAKES_ALL, admin.info.dbname)
    # The pool may have made the next connection before.
    eventually(lambda: writes(read_only))


def test_a_session_that_the_server_ends_is_as_a_database_that_is_away(
    database: str, admin: psycopg.Connection
) -> None:
    def work(db: Database) -> None:
        with db.transaction() as tx:
            admin.execute("select pg_terminate_backend(%s)", [tx.info.backend_pid])
            tx.execute("select 1")

    with (
        patience.database(database, app_connections=1, system_connections=1) as db,
        pytest.raises(DatabaseUnavailable),
    ):
        work(db)
