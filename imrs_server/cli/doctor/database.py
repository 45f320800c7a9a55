"""The database: there, new enough, migrated, with its roles, months and news; and its clock."""

from __future__ import annotations

from datetime import UTC, datetime
from time import monotonic
from typing import TYPE_CHECKING, Final

from imrs_server.cli import cores, environment
from imrs_server.cli.doctor import clocks
from imrs_server.cli.doctor.finding import Finding, Level
from imrs_server.domain.errors import DatabaseUnavailable
from imrs_server.storage import diagnosis, migrate, partitions
from imrs_server.storage.database import MalformedDsn

if TYPE_CHECKING:
    from collections.abc import Iterator

    from imrs_server.settings import Settings
    from imrs_server.storage.database import Tx
    from imrs_server.storage.diagnosis import Server

NEWS_SECONDS: Final = 2.0
# Its two pools at their largest, the index's connection, and a lock that a job holds.
CONNECTIONS_A_WORKER: Final = 12 + 4 + 1 + 1


def examine(dsn: str, listen_dsn: str, settings: Settings | None) -> Iterator[Finding]:
    try:
        start = monotonic()
        with diagnosis.session(dsn) as tx:
            latency_ms = (monotonic() - start) * 1000
            yield from _server(diagnosis.server(tx), latency_ms, settings)
            yield from _roles(tx)
            migrated = False
            for each in _schema(tx, dsn):
                migrated = each.level is Level.OK
                yield each
            if migrated:
                yield from _months(tx)
            yield clocks.compare("the database's", diagnosis.ahead(tx).total_seconds(), "this machine's")
            yield _news(tx, dsn, listen_dsn)
    except MalformedDsn as error:
        yield Finding("database", Level.FAIL, f"IMRS_DATABASE_URL is {error}", "")
    except DatabaseUnavailable as error:
        advice = "Is it up, and IMRS_DATABASE_URL what it should be?"
        yield Finding("database", Level.FAIL, environment.why(error), advice)


def _server(found: Server, latency_ms: float, settings: Settings | None) -> Iterator[Finding]:
    version = found.version // 10_000
    says = f"PostgreSQL {version} took {latency_ms:.0f} ms to connect as {found.login}"
    yield Finding("database", Level.OK, says)
    if found.version < migrate.OLDEST_SERVER:
        needed = migrate.OLDEST_SERVER // 10_000
        yield Finding("database", Level.FAIL, f"IMRS needs PostgreSQL {needed} or later", "Upgrade it.")
    if found.standby:
        yield Finding("database", Level.FAIL, "it only takes reads: a standby", "Name the primary.")
    if found.superuser:
        advice = "Give the server a login of its own (docs/operations.md)."
        yield Finding("database", Level.WARN, f"{found.login} is a superuser", advice)
    workers = (settings.workers or cores.count()) if settings else 0
    wanted = workers * CONNECTIONS_A_WORKER
    if wanted > found.connections:
        says = f"{workers} workers take up to {wanted} connections, and it allows {found.connections}"
        yield Finding("database", Level.WARN, says, "Raise max_connections, or lower IMRS_WORKERS.")


def _roles(tx: Tx) -> Iterator[Finding]:
    found = diagnosis.roles(tx)
    bad = False
    for role in found:
        must_bypass = role.name != found[0].name
        if not role.present:
            kind = "nologin bypassrls" if must_bypass else "nologin"
            bad = True
            advice = f"`imrs migrate` makes it, or an administrator: create role {role.name} {kind};"
            yield Finding("roles", Level.FAIL, f"there is no role {role.name}", advice)
        elif role.bypasses is not must_bypass:
            bad = True
            word = "bypassrls" if must_bypass else "nobypassrls"
            says = f"{role.name} {'does not pass' if must_bypass else 'passes'} row-level security"
            yield Finding("roles", Level.FAIL, says, f"alter role {role.name} {word};")
        elif not role.granted:
            bad = True
            says = f"the login may not act as {role.name}"
            yield Finding("roles", Level.FAIL, says, f"grant {role.name} to the login of IMRS_DATABASE_URL;")
    if not bad:
        yield Finding("roles", Level.OK, " and ".join(role.name for role in found))


def _schema(tx: Tx, dsn: str) -> Iterator[Finding]:
    try:
        missing = migrate.pending(dsn)
    except migrate.SchemaError as error:
        yield Finding("schema", Level.FAIL, str(error), "")
        return
    if missing:
        says = f"{len(missing)} migrations are missing, the first is {missing[0]}"
        yield Finding("schema", Level.FAIL, says, "Run `imrs migrate`.")
        return
    if not diagnosis.searches_fast(tx):
        says = "the extension pg_trgm is not there: searching a large catalogue is slow"
        yield Finding("schema", Level.WARN, says, "See docs/operations.md.")
    yield Finding("schema", Level.OK, "every migration is applied")


def _months(tx: Tx) -> Iterator[Finding]:
    now = datetime.now(UTC)
    missing = diagnosis.missing_months(tx, partitions.horizon(now))
    advice = "`imrs migrate` makes them; a running server makes them every day."
    if not missing:
        yield Finding("partitions", Level.OK, f"made {partitions.MONTHS_AHEAD} months ahead")
        return
    table, month = missing[0]
    says = f"{len(missing)} are missing, the first of {table} for {month:%Y-%m}"
    yield Finding("partitions", Level.FAIL if month <= now else Level.WARN, says, advice)


def _news(telling: Tx, dsn: str, listen_dsn: str) -> Finding:
    name = "IMRS_LISTEN_DATABASE_URL" if listen_dsn else "IMRS_DATABASE_URL"
    try:
        with diagnosis.session(listen_dsn or dsn) as listening:
            epochs = {diagnosis.epoch(listening), diagnosis.epoch(telling)}
            if len(epochs) > 1:
                says = "IMRS_LISTEN_DATABASE_URL is another database than IMRS_DATABASE_URL"
                return Finding("listener", Level.FAIL, says, "Both must lead to the same.")
            start = monotonic()
            if diagnosis.passes_on(listening, telling, timeout_seconds=NEWS_SECONDS):
                says = f"a notification was heard after {(monotonic() - start) * 1000:.0f} ms"
                return Finding("listener", Level.OK, says)
    except MalformedDsn as error:
        return Finding("listener", Level.FAIL, f"{name} is {error}", "")
    except DatabaseUnavailable as error:
        return Finding("listener", Level.FAIL, environment.why(error), f"Is {name} what it should be?")
    says = f"what is told is not heard within {NEWS_SECONDS:g} s by {name}"
    advice = "A pooler swallows it: set IMRS_LISTEN_DATABASE_URL to the database itself."
    return Finding("listener", Level.FAIL, says, advice)
