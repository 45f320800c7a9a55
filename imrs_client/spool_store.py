"""Where a spool keeps its votes: a SQLite file that outlives the process, or memory."""

from __future__ import annotations

import os
import sqlite3
from contextlib import contextmanager, suppress
from threading import Lock
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_PAGE: Final = 500
# A process that ends may hold the file a moment longer than the next one waits to start.
_PATIENCE_SECONDS: Final = 1.0
# Says whose file it is: "IMRS" in ASCII.
_APPLICATION_ID: Final = 0x494D5253


class SpoolError(Exception):
    """The file of a spool cannot be used; the text says why, and what to do."""


class Kept(NamedTuple):
    """A vote as it is kept. ``number`` rises in the order in which they were put in."""

    number: int
    message_id: str
    request: bytes


class Store:
    """Votes in the order of ``put``, at most one process a file. Safe to share between threads.

    With ``sync`` a vote is on the disk when ``put`` returns, so that a loss of power does not take it either;
    without, it outlives the process alone. ``count`` of them wait; ``aside`` are set aside until the file is
    opened again, when they stand where they stood. Every method raises SpoolError where the file fails.
    """

    def __init__(self, path: str | os.PathLike[str] | None, *, sync: bool) -> None:
        self.path = ":memory:" if path is None else os.fspath(path)
        self._lock = Lock()
        with self._explained():
            if path is not None:
                # What users said is nobody else's business.
                os.close(os.open(self.path, os.O_CREAT | os.O_RDWR, 0o600))
            self._connection = sqlite3.connect(
                self.path, timeout=_PATIENCE_SECONDS, isolation_level=None, check_same_thread=False
            )
            try:
                self.aside = 0
                self.count = self._open(sync=sync)
            except BaseException:
                self._connection.close()
                raise

    def put(self, message_id: str, request: bytes) -> None:
        with self._lock, self._explained():
            self._connection.execute(
                "insert into votes (message_id, request) values (?, ?)", (message_id, request)
            )
            self.count += 1

    def all(self) -> Iterator[Kept]:
        """Every vote in order, read by the page; what is put in or taken out meanwhile may be seen or not."""
        last = 0
        while rows := self._page(last):
            yield from rows
            last = rows[-1].number

    def remove(self, numbers: Iterable[int]) -> None:
        with self._lock:
            with self._transaction() as run:
                found = run.executemany("delete from votes where number = ?", [(each,) for each in numbers])
            self.count -= found.rowcount

    def set_aside(self, number: int) -> None:
        """Keep a vote, but no longer among those that wait."""
        with self._lock:
            with self._transaction() as run:
                run.execute("insert into votes_aside select * from votes where number = ?", (number,))
                run.execute("delete from votes where number = ?", (number,))
            self.count -= 1
            self.aside += 1

    def close(self) -> None:
        with self._lock:
            self._connection.close()

    def _page(self, after: int) -> list[Kept]:
        with self._lock, self._explained():
            rows = self._connection.execute(
                "select number, message_id, request from votes where number > ? order by number limit ?",
                (after, _PAGE),
            )
            return [Kept(*row) for row in rows]

    def _open(self, *, sync: bool) -> int:
        """Take the file for this process; how many votes are in it."""
        run = self._connection.execute
        # Held until the connection is closed or the process ends, however it ends.
        run("pragma locking_mode = exclusive")
        run("begin exclusive")
        [owner] = run("pragma application_id").fetchone()
        [tables] = run("select count(*) from sqlite_schema").fetchone()
        if owner != _APPLICATION_ID and (owner or tables):
            raise SpoolError(f"{self.path} is the database of another program; give the spool its own file")
        run(f"pragma application_id = {_APPLICATION_ID}")
        run(
            "create table if not exists votes"
            " (number integer primary key autoincrement, message_id text not null, request blob not null)"
        )
        run(
            "create table if not exists votes_aside"
            " (number integer primary key, message_id text not null, request blob not null)"
        )
        run("insert into votes select * from votes_aside")
        run("delete from votes_aside")
        run("commit")
        run("pragma journal_mode = wal")
        run(f"pragma synchronous = {'full' if sync else 'normal'}")
        [count] = run("select count(*) from votes").fetchone()
        return int(count)

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        with self._explained():
            self._connection.execute("begin")
            try:
                yield self._connection
                self._connection.execute("commit")
            except sqlite3.Error:
                with suppress(sqlite3.Error):
                    self._connection.execute("rollback")
                raise

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except (sqlite3.Error, OSError) as error:
            raise SpoolError(f"{self.path}: {error}{_advice(error)}") from error


def _advice(error: Exception) -> str:
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    if code == sqlite3.SQLITE_BUSY:
        return "; another process uses it: give each process a file of its own"
    if code in {sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CORRUPT}:
        return "; it is no spool, or a damaged one: move it away to begin a new one"
    return ""
