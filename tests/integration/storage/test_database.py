"""What passes by itself is DATABASE_UNAVAILABLE, by whichever of its names PostgreSQL calls it."""

from __future__ import annotations

import secrets
from contextlib import contextmanager
from typing import TYPE_CHECKING, LiteralString

import psycopg
import pytest
from psycopg import sql
from psycopg.conninfo import make_conninfo

from imrs_server.domain.errors import DatabaseUnavailable
from imrs_server.storage import exclusive
from imrs_server.storage.database import Database
from tests.support import patience
from tests.support.cluster import run, unique
from tests.support.waiting import eventually

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from imrs_server.storage.database import Tx

    Fault = Callable[[Tx, psycopg.Connection], None]


SMALL = {"app_connections": 1, "system_connections": 1}


@pytest.fixture
def admin(database: str) -> Iterator[psycopg.Connection]:
    with psycopg.connect(database, autocommit=True) as connection:
        yield connection


@contextmanager
def opened(dsn: str) -> Iterator[Database]:
    """Whether or not it is there."""
    found = Database(dsn, **SMALL)
    found.open()
    try:
        yield found
    finally:
        found.close()


def is_gone(admin: psycopg.Connection, pid: int) -> bool:
    found = admin.execute("select from pg_stat_activity where pid = %s", [pid])
    return found.fetchone() is None


def idle_in_transaction(tx: Tx, admin: psycopg.Connection) -> None:
    tx.execute("set local idle_in_transaction_session_timeout = 1")
    eventually(lambda: is_gone(admin, tx.info.backend_pid))
    tx.execute("select 1")


def idle_until_commit(tx: Tx, admin: psycopg.Connection) -> None:
    tx.execute("set local idle_in_transaction_session_timeout = 1")
    eventually(lambda: is_gone(admin, tx.info.backend_pid))


def idle_in_pipeline(tx: Tx, admin: psycopg.Connection) -> None:
    tx.execute("set local idle_in_transaction_session_timeout = 1")
    eventually(lambda: is_gone(admin, tx.info.backend_pid))
    with tx.pipeline():
        tx.execute("select 1")
        tx.execute("select 2")


def statement_timeout(tx: Tx, _: psycopg.Connection) -> None:
    tx.execute("set local statement_timeout = 1")
    tx.execute("select pg_sleep(60)")


def transaction_timeout(tx: Tx, _: psycopg.Connection) -> None:
    if tx.info.server_version < 170_000:
        pytest.skip("since PostgreSQL 17")
    tx.execute("set local transaction_timeout = 1")
    tx.execute("select pg_sleep(60)")


def lock_timeout(tx: Tx, admin: psycopg.Connection) -> None:
    tx.execute("set local lock_timeout = 1")
    with admin.transaction():
        admin.execute("lock table tenants")
        tx.execute("select from tenants")


def no_wait(tx: Tx, admin: psycopg.Connection) -> None:
    with admin.transaction():
        admin.execute("select from index_revision for update")
        tx.execute("select from index_revision for update nowait")


def terminated(tx: Tx, admin: psycopg.Connection) -> None:
    admin.execute("select pg_terminate_backend(%s)", [tx.info.backend_pid])
    tx.execute("select pg_sleep(60)")


def terminated_until_commit(tx: Tx, admin: psycopg.Connection) -> None:
    admin.execute("select pg_terminate_backend(%s)", [tx.info.backend_pid])


def cancelled(tx: Tx, _: psycopg.Connection) -> None:
    tx.execute("set local role none")
    tx.execute("select pg_cancel_backend(pg_backend_pid()), pg_sleep(60)")


def connection_lost(tx: Tx, _: psycopg.Connection) -> None:
    tx.pgconn.finish()
    tx.execute("select 1")


@pytest.mark.parametrize(
    "fault",
    [
        idle_in_transaction,
        idle_until_commit,
        idle_in_pipeline,
        statement_timeout,
        transaction_timeout,
        lock_timeout,
        no_wait,
        terminated,
        terminated_until_commit,
        cancelled,
        connection_lost,
    ],
    ids=lambda fault: fault.__name__,
)
def test_what_passes_by_itself_is_a_database_that_is_away(
    database: str, admin: psycopg.Connection, fault: Fault
) -> None:
    with patience.database(database, **SMALL) as db:

        def work() -> None:
            with db.system() as tx:
                fault(tx, admin)

        with pytest.raises(DatabaseUnavailable):
            work()
        # Whatever it was, the next call has a connection that works.
        with db.system() as tx:
            assert tx.execute("select 1 as one").fetchone() == {"one": 1}


RAISED: dict[LiteralString, bool] = {
    "08006": True,  # connection_failure
    "40001": True,  # serialization_failure
    "40P01": True,  # deadlock_detected
    "53100": True,  # disk_full
    "53200": True,  # out_of_memory
    "53300": True,  # too_many_connections
    "55P03": True,  # lock_not_available
    "57014": True,  # query_canceled
    "57P01": True,  # admin_shutdown
    "57P02": True,  # crash_shutdown
    "57P03": True,  # cannot_connect_now
    "58030": True,  # io_error
    "22012": False,  # division_by_zero
    "23505": False,  # unique_violation
    "25P02": False,  # in_failed_sql_transaction
    "42501": False,  # insufficient_privilege
    "42P01": False,  # undefined_table
    "XX000": False,  # internal_error
}


@pytest.mark.parametrize(("state", "passes"), RAISED.items())
def test_a_fault_of_ours_is_not_taken_for_one_that_passes(
    database: str, state: LiteralString, *, passes: bool
) -> None:
    kind: type[Exception] = DatabaseUnavailable if passes else psycopg.errors.lookup(state)
    body = sql.SQL("do $$ begin raise exception using errcode = {}; end $$").format(sql.Literal(state))
    with patience.database(database, **SMALL) as db, pytest.raises(kind), db.system() as tx:
        tx.execute(body)


def test_a_database_that_takes_no_more_connections_is_one_that_is_away(
    database: str, admin: psycopg.Connection
) -> None:
    name, password = unique("imrs_crowded"), secrets.token_hex()
    run(admin, "create role {} login connection limit 0 in role imrs_app, imrs_system", name)
    try:
        admin.execute(
            sql.SQL("alter role {} password {}").format(sql.Identifier(name), sql.Literal(password))
        )
        with opened(make_conninfo(database, user=name, password=password)) as db:
            with pytest.raises(DatabaseUnavailable), db.system(timeout_seconds=0.1):
                pass
            with pytest.raises(DatabaseUnavailable), exclusive.held(db, "anything"):
                pass
    finally:
        run(admin, "drop role {}", name)
