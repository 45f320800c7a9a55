"""One at a time in the whole database, for work that may not hold a transaction open."""

from __future__ import annotations

from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

import psycopg
from psycopg.rows import dict_row

from imrs_server.domain.errors import DatabaseUnavailable
from imrs_server.storage import sql
from imrs_server.storage.database import conninfo

if TYPE_CHECKING:
    from collections.abc import Iterator

    from imrs_server.storage.database import Database

Q = sql.load(__file__)


@contextmanager
def held(database: Database, name: str) -> Iterator[bool]:
    """Try to take the lock of that name; False when somebody else has it.

    The lock lives on a connection of its own, so it goes when this process dies, however it dies. Should the
    connection break earlier, somebody else may start: what must not happen twice needs a row lock as well.
    Raises DatabaseUnavailable.
    """
    try:
        connection = psycopg.connect(
            conninfo(database.dsn, role="imrs_app", application="imrs exclusive"),
            autocommit=True,
            row_factory=dict_row,
        )
    except psycopg.OperationalError as error:
        raise DatabaseUnavailable from error
    taken = False
    # Not its context manager: that would answer a broken connection with an exception at the end.
    try:
        try:
            taken = bool(Q.take.value(connection, name=name))
        except psycopg.OperationalError as error:
            raise DatabaseUnavailable from error
        yield taken
    finally:
        # The server notices a closed connection some time later; who comes right after must find it free.
        if taken:
            with suppress(psycopg.Error):
                Q.release.value(connection, name=name)
        connection.close()
