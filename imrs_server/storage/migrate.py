"""Migrations: timestamped SQL files in dbmate's format, applied once each and in order.

The table ``schema_migrations`` is dbmate's own, with one more column that dbmate leaves alone: the checksum
of the file as it was applied here.
"""

from __future__ import annotations

import hashlib
import re
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import psycopg
from psycopg.rows import dict_row

from imrs_server.domain.errors import DatabaseUnavailable
from imrs_server.storage import partitions, sql
from imrs_server.storage.database import conninfo

if TYPE_CHECKING:
    from collections.abc import Iterator

    from imrs_server.storage.database import Tx

Q = sql.load(__file__)

OLDEST_SERVER = 160000
"""The floor, as ``server_version_num``: 16 brought what partitions.sql needs of generate_series."""

_LOCK = 0x696D7273
_TIMEOUTS = "set lock_timeout = '60s'; set statement_timeout = '15min'"
_DDL_LOCK_TIMEOUT = "set local lock_timeout = '5s'"


class SchemaError(Exception):
    """The schema cannot be used or changed as it is; the message says why, and what to do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Migration:
    """One file, ``<version>_<name>.sql``."""

    version: str
    name: str
    up: str
    down: str
    checksum: str


@dataclass(frozen=True, slots=True)
class _Applied:
    version: str
    checksum: str | None


def folder() -> Path:
    """Where the migrations are: inside the package when installed, beside it in a checkout."""
    package = Path(__file__).parents[1]
    shipped = package / "migrations"
    return shipped if shipped.is_dir() else package.parent / "migrations"


def read(source: Path) -> list[Migration]:
    """The migrations in a folder, oldest first. Raises SchemaError for a file that is none."""
    return [_parse(path) for path in sorted(source.glob("*.sql"))]


def pending(dsn: str, source: Path | None = None) -> list[str]:
    """Names of the migrations that the database does not have. Raises SchemaError and DatabaseUnavailable."""
    with _session(dsn) as tx:
        return [each.name for each in _missing(tx, read(source or folder()))]


def apply(dsn: str, source: Path | None = None) -> list[str]:
    """Apply what is pending, one transaction a file, and make the next months' partitions.

    Of several servers that start at once one applies; the others wait for it and find nothing to do. Returns
    the names of what this call applied. Raises SchemaError and DatabaseUnavailable.
    """
    with _locked(dsn) as tx:
        _prepare(tx)
        missing = _missing(tx, read(source or folder()))
        for each in missing:
            with _step(tx, each):
                tx.execute(each.up)
                Q.record.run(tx, version=each.version, checksum=each.checksum)
        with _errors("partitions"), tx.transaction():
            if partitions.supported(tx):
                partitions.ensure(tx, partitions.horizon(datetime.now(UTC)))
    return [each.name for each in missing]


def revert(dsn: str, source: Path | None = None, steps: int = 1) -> list[str]:
    """Undo the newest migrations, newest first, with what they hold. Returns their names.

    Raises SchemaError and DatabaseUnavailable.
    """
    with _locked(dsn) as tx:
        newest = _newest(tx, read(source or folder()), steps)
        for each in newest:
            with _step(tx, each):
                _undo(tx, each)
    return [each.name for each in newest]


def would_drop(dsn: str, source: Path | None = None, steps: int = 1) -> list[str]:
    """What ``revert`` would drop: tables with their size, columns of tables that stay, functions.

    Found by reverting in a transaction that is rolled back, so the tables in question are locked for a
    moment. Raises SchemaError and DatabaseUnavailable.
    """
    with _locked(dsn) as tx, _errors("revert"), tx.transaction(force_rollback=True):
        before = tx.execute(Q.objects.text).fetchall()
        for each in _newest(tx, read(source or folder()), steps):
            _undo(tx, each)
        after = {(row["parent"], row["name"]) for row in tx.execute(Q.objects.text)}
    gone = [row for row in before if (row["parent"], row["name"]) not in after]
    tables = {row["name"] for row in gone if row["parent"] is None}
    return [row["label"] for row in gone if row["parent"] not in tables]


def require_current(dsn: str, source: Path | None = None) -> None:
    """Check at start that the schema is at least as new as this version of IMRS.

    A newer one is fine: it belongs to the next version, which may already run beside this one. Raises
    SchemaError and DatabaseUnavailable.
    """
    missing = pending(dsn, source)
    if missing:
        raise SchemaError(
            f"the database schema is older than this version of IMRS: {len(missing)} of its migrations are "
            f"missing, the first is {missing[0]}. Run `imrs migrate`."
        )


def _parse(path: Path) -> Migration:
    text = path.read_text(encoding="utf-8")
    parts = re.split(r"^-- migrate:(up|down)[^\n]*$", text, flags=re.MULTILINE)
    version = re.match(r"(\d+)_\w+$", path.stem)
    if version is None or parts[1::2] != ["up", "down"] or parts[0].strip():
        raise SchemaError(
            f"{path.name} is not a migration: it must be named <digits>_<name>.sql and hold `-- migrate:up`, "
            "then `-- migrate:down`"
        )
    checksum = hashlib.sha256(text.encode()).hexdigest()
    return Migration(version=version[1], name=path.stem, up=parts[2], down=parts[4], checksum=checksum)


def _prepare(tx: Tx) -> None:
    with _errors("schema_migrations"), tx.transaction():
        if not Q.table_exists.value(tx):
            Q.create_table.run(tx)
        elif not Q.checksum_exists.value(tx):
            Q.add_checksum.run(tx)


def _applied(tx: Tx) -> list[_Applied]:
    with _errors("schema_migrations"):
        if not Q.table_exists.value(tx):
            return []
        return Q.applied.all(tx, lambda row: _Applied(row["version"], row["checksum"]))


def _missing(tx: Tx, known: list[Migration]) -> list[Migration]:
    applied = {each.version: each.checksum for each in _applied(tx)}
    for each in known:
        if applied.get(each.version, each.checksum) not in {each.checksum, None}:
            raise SchemaError(
                f"{each.name} was changed after this database applied it. Put the file back as it was, and "
                "make the change in a new migration."
            )
    return [each for each in known if each.version not in applied]


def _newest(tx: Tx, known: list[Migration], steps: int) -> list[Migration]:
    files = {each.version: each for each in known}
    versions = [each.version for each in reversed(_applied(tx))][:steps]
    for version in versions:
        if version not in files:
            raise SchemaError(
                f"migration {version} is applied, but this version of IMRS does not know it: revert it with "
                "the version that brought it"
            )
    return [files[version] for version in versions]


def _undo(tx: Tx, migration: Migration) -> None:
    tx.execute(migration.down)
    Q.forget.run(tx, version=migration.version)


@contextmanager
def _session(dsn: str) -> Iterator[Tx]:
    try:
        tx = psycopg.connect(conninfo(dsn, application="imrs-migrate"), autocommit=True, row_factory=dict_row)
    except psycopg.OperationalError as error:
        raise DatabaseUnavailable from error
    with tx:
        if tx.info.server_version < OLDEST_SERVER:
            found, needed = tx.info.server_version // 10000, OLDEST_SERVER // 10000
            raise SchemaError(f"the database is PostgreSQL {found}; IMRS needs {needed} or later")
        tx.execute(_TIMEOUTS)
        yield tx


@contextmanager
def _locked(dsn: str) -> Iterator[Tx]:
    with _session(dsn) as tx:
        with _errors("another migration is running, and has been for a minute"):
            Q.lock.value(tx, key=_LOCK)
        try:
            yield tx
        finally:
            if not tx.broken:
                Q.unlock.value(tx, key=_LOCK)


@contextmanager
def _step(tx: Tx, migration: Migration) -> Iterator[None]:
    """One migration in its transaction; a lock that others hold is not waited for so long that they queue."""
    with _errors(migration.name), tx.transaction():
        tx.execute(_DDL_LOCK_TIMEOUT)
        yield


@contextmanager
def _errors(what: str) -> Iterator[None]:
    try:
        yield
    except (psycopg.errors.LockNotAvailable, psycopg.errors.QueryCanceled) as error:
        raise SchemaError(_message(what, error)) from error
    except psycopg.OperationalError as error:
        raise DatabaseUnavailable from error
    except psycopg.Error as error:
        raise SchemaError(_message(what, error)) from error


def _message(what: str, error: psycopg.Error) -> str:
    # The primary message alone: the detail may hold rows.
    parts = [f"{what}: {error.diag.message_primary or type(error).__name__}", error.diag.message_hint]
    return ". ".join(part for part in parts if part)
