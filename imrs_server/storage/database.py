"""The two connection pools, and transactions on them."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import psycopg
from psycopg.conninfo import make_conninfo
from psycopg.rows import dict_row
from psycopg_pool import ConnectionPool, PoolTimeout

from imrs_server.domain.errors import DatabaseUnavailable

if TYPE_CHECKING:
    from collections.abc import Iterator
    from uuid import UUID

Tx = psycopg.Connection[dict[str, Any]]

# A dead peer is noticed in seconds; a forgotten transaction cannot hold back the roll-up's horizon.
_CONNECTION = {
    "connect_timeout": 3,
    "keepalives_idle": 2,
    "keepalives_interval": 1,
    "keepalives_count": 2,
    "tcp_user_timeout": 5000,
}
_SESSION = (
    "-c timezone=UTC -c idle_in_transaction_session_timeout=10s -c lock_timeout=5s -c statement_timeout=30s"
)


class MalformedDsn(ValueError):
    """Not a DSN; the message never repeats it."""


def conninfo(dsn: str, *, role: str | None = None, application: str = "imrs") -> str:
    """The DSN with our time-outs, and with a role to act as. Raises MalformedDsn."""
    options = _SESSION + (f" -c role={role}" if role else "")
    try:
        return make_conninfo(dsn, **_CONNECTION, application_name=application, options=options)
    except psycopg.ProgrammingError:
        # The driver's words repeat a part of the DSN, which may be of the password.
        raise MalformedDsn("not a DSN such as postgresql://user:password@host:5432/database") from None


class Database:
    """Transactions as ``imrs_app`` (row-level security holds) or as ``imrs_system`` (it does not)."""

    def __init__(self, dsn: str, *, app_connections: int = 12, system_connections: int = 4) -> None:
        self.dsn = dsn
        self._app = _pool(dsn, "imrs_app", app_connections)
        self._system = _pool(dsn, "imrs_system", system_connections)

    def open(self) -> None:
        """Start connecting; does not wait for the database to be there."""
        self._app.open()
        self._system.open()

    def close(self) -> None:
        self._app.close()
        self._system.close()

    @contextmanager
    def transaction(self, tenant_id: UUID | None = None) -> Iterator[Tx]:
        """A transaction that sees the rows of one tenant, and what belongs to no tenant.

        Raises DatabaseUnavailable.
        """
        with _transaction(self._app) as tx:
            if tenant_id is not None:
                tx.execute("select set_config('imrs.tenant_id', %s, true)", [str(tenant_id)])
            yield tx

    @contextmanager
    def system(self, *, timeout_seconds: float | None = None) -> Iterator[Tx]:
        """A transaction that sees the rows of every tenant.

        Only for what serves many tenants at once: the index, the decision log, group commit, background jobs,
        and lists of a platform admin who names no tenant. ``timeout_seconds`` is how long to wait for a
        connection, where not as long as usual. Raises DatabaseUnavailable.
        """
        with _transaction(self._system, timeout_seconds) as tx:
            yield tx

    @contextmanager
    def scoped(self, tenant_id: UUID | None) -> Iterator[Tx]:
        """For lists: the rows of one tenant, or of all where ``Principal.scope`` gave None."""
        with self.system() if tenant_id is None else self.transaction(tenant_id) as tx:
            yield tx


def _pool(dsn: str, role: str, size: int) -> ConnectionPool[Tx]:
    # max_waiting stays 0: with a limit, waiters that timed out block the pool for ever after an outage.
    # No `check`: it delays the first call after a restart by seconds; `_transaction` checks once, on failure.
    return ConnectionPool(
        conninfo(dsn, role=role),
        min_size=1,
        max_size=size,
        timeout=2,
        reconnect_timeout=0.3,
        # Not prepared: a newer server may add a column while this one runs, and a pooler may stand
        # between: both break prepared statements.
        kwargs={"row_factory": dict_row, "prepare_threshold": None},
        open=False,
        name=role,
    )


@contextmanager
def _transaction(pool: ConnectionPool[Tx], timeout_seconds: float | None = None) -> Iterator[Tx]:
    try:
        with pool.connection(timeout_seconds) as connection, _writable(connection), connection.transaction():
            yield connection
    except PoolTimeout as error:
        raise DatabaseUnavailable from error
    except psycopg.Error as error:
        if not _passes(error):
            raise
        pool.check()
        raise DatabaseUnavailable from error


def _passes(error: psycopg.Error) -> bool:
    """Whether it is about the state of the server, and no fault of what it was asked.

    FATAL ends the session, also where Python's kinds of errors (PEP 249) call a time-out an internal one.
    """
    ended = error.diag.severity_nonlocalized in ("FATAL", "PANIC")
    return ended or isinstance(error, psycopg.OperationalError)


@contextmanager
def _writable(connection: Tx) -> Iterator[None]:
    """Give up a connection to a server that takes no writes: after a failover, a new one finds who does.

    Raises DatabaseUnavailable.
    """
    try:
        yield
    except psycopg.errors.ReadOnlySqlTransaction as error:
        connection.close()
        raise DatabaseUnavailable from error
