"""The index's own connection: it hears of changes and reads them, outside the pools."""

from __future__ import annotations

import os
import socket
import threading
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, TypeVar

import psycopg
from psycopg import sql
from psycopg.rows import dict_row

from imrs_server.domain.errors import DatabaseUnavailable
from imrs_server.storage import changes
from imrs_server.storage.database import conninfo

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from imrs_server.storage.database import Tx

T = TypeVar("T")


class Listener:
    """A connection that LISTENs before anything is read, so that nothing falls between reading and hearing.

    ``read_seconds`` is the time a transaction may take: a peer that swallows what it is sent is not noticed
    by TCP. Every method raises DatabaseUnavailable, after which the listener is of no more use.
    """

    def __init__(self, dsn: str, *, read_seconds: float = 60) -> None:
        self._dsn = dsn
        self._read_seconds = read_seconds
        self._closing = threading.Lock()
        self._interrupted = False
        self._connecting: set[Future[Tx]] = set()
        self._open: list[Tx] = []

    def open(self) -> None:
        """Connect and listen; ``close`` it however that ends."""
        self._connection = self._connect()
        with _translated(), self._deadline(self._read_seconds):
            self._connection.execute(sql.SQL("listen {}").format(sql.Identifier(changes.CHANNEL)))

    @contextmanager
    def snapshot(self, read_seconds: float | None = None) -> Iterator[Tx]:
        """A transaction that sees one moment of the rows of all tenants, in so much time or the usual."""
        limit_seconds = read_seconds or self._read_seconds
        with _translated(), self._deadline(limit_seconds), self._connection.transaction():
            yield self._connection

    @contextmanager
    def meanwhile(self, *reads: Callable[[Tx], T]) -> Iterator[Callable[[], list[T]]]:
        """Read in other threads, at the moment of the transaction in hand; gives how to get what was read.

        Each has a connection of its own, so a core of the database. What one of all cannot read ends all.
        """
        (found,) = self._connection.execute("select pg_export_snapshot() as name")
        others = [self._connect() for _ in reads]
        with ThreadPoolExecutor(len(reads), "index-beside") as pool:
            try:
                with _thread_started():
                    begun = [
                        pool.submit(self._read_at, other, found["name"], read)
                        for other, read in zip(others, reads, strict=True)
                    ]
                yield lambda: [each.result() for each in begun]
            except BaseException:
                self.interrupt()
                raise
        for other in others:
            self._finish(other)

    def _read_at(self, connection: Tx, snapshot: str, read: Callable[[Tx], T]) -> T:
        with _translated(), connection.transaction():
            connection.execute(sql.SQL("set transaction snapshot {}").format(sql.Literal(snapshot)))
            return read(connection)

    def wait(self, timeout_seconds: float) -> bool:
        """Wait for news, and say whether there was some."""
        with _translated():
            return any(True for _ in self._connection.notifies(timeout=timeout_seconds, stop_after=1))

    def interrupt(self) -> None:
        """End the connections under whoever is waiting on them or for them; for another thread to call."""
        with self._closing:
            self._interrupted = True
            for coming in self._connecting:
                coming.cancel()
            for each in self._open:
                with (
                    suppress(OSError, psycopg.Error),
                    socket.socket(fileno=os.dup(each.fileno())) as peer,
                ):
                    peer.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        for each in list(self._open):
            self._finish(each)

    def _connect(self) -> Tx:
        made = self._connected()
        with _translated(), self._deadline(self._read_seconds):
            # A large index takes longer than any statement of a call; the deadline here is the limit.
            made.execute("set statement_timeout = 0")
            made.execute("set idle_in_transaction_session_timeout = 0")
            # Indexes have the rows in order; several processes would sort them on disk first.
            made.execute("set max_parallel_workers_per_gather = 0")
        made.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        made.read_only = True
        return made

    def _connected(self) -> Tx:
        """A connection, made in another thread: nobody can interrupt a look-up of names, or a connect."""
        coming: Future[Tx] = Future()
        with self._closing:
            if self._interrupted:
                raise DatabaseUnavailable
            self._connecting.add(coming)
        info = conninfo(self._dsn, role="imrs_system", application="imrs-index")
        try:
            with _thread_started():
                threading.Thread(target=_make, args=(info, coming), name="index-connect", daemon=True).start()
            with _translated():
                made = coming.result()
        except CancelledError:
            raise DatabaseUnavailable from None
        finally:
            with self._closing:
                self._connecting.remove(coming)
        with self._closing:
            self._open.append(made)
            if not self._interrupted:
                return made
        self._finish(made)
        raise DatabaseUnavailable

    def _finish(self, connection: Tx) -> None:
        # Under the lock, or a file that gets the same number might be shut down instead. Connection.close()
        # would say goodbye to a peer that may hang.
        with self._closing:
            self._open.remove(connection)
            connection.pgconn.finish()

    @contextmanager
    def _deadline(self, seconds: float) -> Iterator[None]:
        timer = threading.Timer(seconds, self.interrupt)
        timer.daemon = True
        with _thread_started():
            timer.start()
        try:
            yield
        finally:
            timer.cancel()


def _make(info: str, coming: Future[Tx]) -> None:
    """Connect for whoever waits; where nobody does any more, the connection goes again."""
    made: Tx | None = None
    error: Exception | None = None
    try:
        made = psycopg.connect(info, autocommit=True, row_factory=dict_row)
    except Exception as raised:  # noqa: BLE001  (whatever it is, it belongs to who waits)
        error = raised
    if coming.set_running_or_notify_cancel():
        if made is not None:
            coming.set_result(made)
        else:
            coming.set_exception(error)
    elif made is not None:
        made.close()


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except psycopg.Error as error:
        raise DatabaseUnavailable from error


@contextmanager
def _thread_started() -> Iterator[None]:
    """Where the system has no room for one more thread, the database cannot be had."""
    try:
        yield
    except RuntimeError as error:
        raise DatabaseUnavailable from error
