"""Feedback through gRPC: votes of many callers in one commit, beside one commit for each vote."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import UUID

import psycopg

from benchmarks.rows import Row, percentile
from benchmarks.world import server_environment, token
from imrs_client.ids import new_id, time_of
from imrs_server.domain.principal import Role
from imrs_server.embedded.postgres import Postgres
from imrs_server.storage import databases, migrate, partitions
from imrs_server.storage.database import Database
from imrs_server.storage.group_commit import MOST

if TYPE_CHECKING:
    from collections.abc import Iterator

TENANT_ID = UUID("11111111-1111-7111-8111-111111111111")
DATABASE = "imrs"
ROUNDS = 3
CALLERS = 32
MANY_CALLERS = 256
BATCH = 100
CATALOGUE = """
    insert into providers (provider_id, provider_type, dialect, api_base)
    values ('p', 'CUSTOM', 'openai', 'https://example.org');
    insert into models (model_id, provider_id, external_id) values ('p/m', 'p', 'm');
    insert into agents (tenant_id, agent_id) values ('11111111-1111-7111-8111-111111111111', 'a')
"""
MESSAGES = "copy messages (tenant_id, message_id, partition_time, agent_id, model_id, task_type) from stdin"


@dataclass(frozen=True, slots=True, kw_only=True)
class Round:
    """Votes a second, and the latency of each call in ms."""

    rate: float
    latencies_ms: Sequence[float]


def measure() -> list[Row]:
    """Rounds take turns, so that all see the same machine; every vote is on a message of its own."""
    with _database() as dsn:
        messages = _messages(dsn)
        rounds: dict[str, list[Round]] = {}
        for _ in range(ROUNDS):
            for name, (most, in_flight, batch, votes) in VARIANTS.items():
                with _server(dsn, most) as address:
                    _round(address, list(islice(messages, 300)), in_flight, 1)
                    ids = list(islice(messages, votes))
                    rounds.setdefault(name, []).append(_round(address, ids, in_flight, batch))
    return _rows({name: _together(found) for name, found in rounds.items()})


# Most votes a commit, calls in flight, votes a call, votes a round.
VARIANTS = {
    "empty": (0, CALLERS, 1, 6000),
    "row_by_row": (1, CALLERS, 1, 1500),
    "grouped": (MOST, CALLERS, 1, 6000),
    "grouped_many": (MOST, MANY_CALLERS, 1, 8000),
    "batches": (MOST, 4, BATCH, 20_000),
}


def _rows(found: dict[str, Round]) -> list[Row]:
    single, grouped, many, batches = (
        found[name] for name in ("row_by_row", "grouped", "grouped_many", "batches")
    )
    unit = "votes/s"
    return [
        Row(
            name="feedback_empty_handler",
            value=found["empty"].rate,
            unit="calls/s",
            baseline=single.rate,
            ratio=found["empty"].rate / single.rate,
            beside="a commit for each vote, one writer",
        ),
        _compared("feedback_batch", grouped, single, unit),
        _compared(f"feedback_{MANY_CALLERS}_in_flight", many, single, unit),
        _compared(f"feedback_batches_of_{BATCH}", batches, single, unit),
        *(
            Row(
                name=f"feedback_p{percent}_ms",
                value=percentile(grouped.latencies_ms, percent),
                unit="ms",
                baseline=percentile(single.latencies_ms, percent),
                ratio=percentile(single.latencies_ms, percent) / percentile(grouped.latencies_ms, percent),
                beside=f"a commit for each vote; {CALLERS} callers, through the stub",
            )
            for percent in (50, 95)
        ),
    ]


def _compared(name: str, found: Round, single: Round, unit: str) -> Row:
    """Against a commit for each vote: the same server with its one writer, whose batches are of one vote, and
    32 callers. It is not against parallel writers, whose commits PostgreSQL groups by itself.
    """
    return Row(
        name=name,
        value=found.rate,
        unit=unit,
        baseline=single.rate,
        ratio=found.rate / single.rate,
        beside="a commit for each vote, one writer",
    )


def _together(rounds: Sequence[Round]) -> Round:
    return Round(
        rate=sum(each.rate for each in rounds) / len(rounds),
        latencies_ms=[ms for each in rounds for ms in each.latencies_ms],
    )


@contextmanager
def _database() -> Iterator[str]:
    """A durable PostgreSQL: a commit waits for the disk."""
    with tempfile.TemporaryDirectory(prefix="imrs-bench-") as folder, Postgres(Path(folder)) as postgres:
        databases.create(postgres.dsn, DATABASE)
        dsn = postgres.dsn_of(DATABASE)
        migrate.apply(dsn)
        with psycopg.connect(dsn, autocommit=True) as connection:
            assert connection.execute("show synchronous_commit").fetchone() == ("on",)
            connection.execute(CATALOGUE)
        yield dsn


def _messages(dsn: str) -> Iterator[str]:
    """Ids of messages that nobody voted on yet."""
    database = Database(dsn)
    database.open()
    with database.transaction() as tx:
        partitions.ensure(tx, datetime.now(UTC))
    database.close()
    count = ROUNDS * sum(300 + votes for *_, votes in VARIANTS.values())
    ids = [new_id() for _ in range(count)]
    with psycopg.connect(dsn) as connection, connection.cursor() as cursor:
        with cursor.copy(MESSAGES) as stream:
            for each in ids:
                stream.write_row((TENANT_ID, each, time_of(each), "a", "p/m", "code"))
        connection.commit()
        connection.autocommit = True
        connection.execute("vacuum analyze messages")
    return iter([str(each) for each in ids])


@contextmanager
def _server(dsn: str, most: int) -> Iterator[str]:
    environment = dict(server_environment(dsn))
    command = [sys.executable, "-m", "benchmarks.feedback_server", str(most)]
    with subprocess.Popen(
        command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        yield process.stdout.readline().strip()
        process.communicate()


def _round(address: str, ids: Sequence[str], in_flight: int, batch: int) -> Round:
    caller = token(Role.TENANT_ADMIN, TENANT_ID)
    command = [
        sys.executable,
        "-m",
        "benchmarks.feedback_callers",
        address,
        caller,
        str(in_flight),
        str(batch),
    ]
    ended = subprocess.run(command, input="\n".join(ids), capture_output=True, text=True, check=True)
    found = json.loads(ended.stdout)
    return Round(rate=len(ids) / found["seconds"], latencies_ms=found["latencies_ms"])
