"""The index's own connection: it hears of changes and reads them, outside the pools."""

from __future__ import annotations

import os
import socket
import threading
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

import psycopg
from psycopg import sql
from psycopg.rows import dict_row

from imrs_server.domain.errors import DatabaseUnavailable
from imrs_server.storage import changes
from imrs_server.storage.database import conninfo

if TYPE_CHECKING:
    from collections.abc import Iterator

    from imrs_server.storage.database import Tx


class Listener:
    """One connection that LISTENs before anything is read, so that nothing falls between reading and hearing.

    ``read_seconds`` is the time a transaction may take: a peer that swallows what it is sent is not noticed
    by TCP. Every method raises DatabaseUnavailable, after which the listener is of no more use.
    """

    def __init__(self, dsn: str, *, read_seconds: float = 60) -> None:
        self._read_seconds = read_seconds
        with _translated():
            self._connection: psycopg.Connection[dict[str, Any]] = psycopg.connect(
                conninfo(dsn, role="imrs_system", application="imrs-index"),
                autocommit=True,
                row_factory=dict_row,
            )
        self._closing = threading.Lock()
        try:
            with _translated(), self._deadline(read_seconds):
                # A large index takes longer than any statement of a call; the deadline here is the limit.
                self._connection.execute("set statement_timeout = 0")
                self._connection.execute("set idle_in_transaction_session_timeout = 0")
                self._connection.execute(sql.SQL("listen {}").format(sql.Identifier(changes.CHANNEL)))
        except BaseException:
            self.close()
            raise
        self._connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        self._connection.read_only = True

    @contextmanager
    def snapshot(self, read_seconds: float | None = None) -> Iterator[Tx]:
        """A transaction that sees one moment of the rows of all tenants, in so much time or the usual."""
        limit_seconds = read_seconds or self._read_seconds
        with _translated(), self._deadline(limit_seconds), self._connection.transaction():
            yield self._connection

    def wait(self, timeout_seconds: float) -> bool:
        """Wait for news, and say whether there was some."""
        with _translated():
            return any(True for _ in self._connection.notifies(timeout=timeout_seconds, stop_after=1))

    def interrupt(self) -> None:
        """End the connection under whoever is waiting on it; for another thread to call."""
        with (
            self._closing,
            suppress(OSError, psycopg.Error),
            socket.socket(fileno=os.dup(self._connection.fileno())) as peer,
        ):
            peer.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        # Under the lock, or a file that gets the same number might be shut down instead. Connection.close()
        # would say goodbye to a peer that may hang.
        with self._closing:
            self._connection.pgconn.finish()

    @contextmanager
    def _deadline(self, seconds: float) -> Iterator[None]:
        timer = threading.Timer(seconds, self.interrupt)
        timer.daemon = True
        timer.start()
        try:
            yield
        finally:
            timer.cancel()


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except psycopg.Error as error:
        raise DatabaseUnavailable from error
