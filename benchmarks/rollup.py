"""A turn of the roll-up: how long it takes to count one vote, and twenty thousand."""

from __future__ import annotations

import statistics
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import psycopg

from benchmarks.rows import Row
from imrs_server.embedded.postgres import Postgres
from imrs_server.jobs.rollup import Rollup
from imrs_server.storage import migrate
from imrs_server.storage.database import Database

if TYPE_CHECKING:
    from collections.abc import Callable

KEPT = 200_000
MANY = 20_000
ONE_BY_ONE = 50
# Of one tenant: ten agents, five task types and twelve models.
VOTES = """
    insert into feedback (
        tenant_id, feedback_id, message_id, partition_time, agent_id, task_type, model_id, rating,
        feedback_type
    )
    select '11111111-1111-7111-8111-111111111111', gen_random_uuid(), gen_random_uuid(), now(),
        'agent' || mod(i * 7919, 10), 'task' || mod(i * 31, 5), 'p/m' || mod(i * 104729, 12), random(),
        'EXPLICIT'
    from generate_series(1::bigint, %s) as i
"""
AMEND = "update feedback set rating = random() where ctid in (select ctid from feedback limit %s)"


def measure() -> list[Row]:
    """Durations in ms, beside 200,000 votes that were counted before."""
    with tempfile.TemporaryDirectory(prefix="imrs-bench-") as folder, Postgres(Path(folder) / "pg") as server:
        migrate.apply(server.dsn)
        database = Database(server.dsn, app_connections=1, system_connections=1)
        database.open()
        with psycopg.connect(server.dsn, autocommit=True) as writer:
            rollup = Rollup(database)
            writer.execute(VOTES, [KEPT])
            _ms(rollup.turn)
            writer.execute("analyze")
            found = _rows(writer, rollup)
        database.close()
    return found


def _rows(writer: psycopg.Connection, rollup: Rollup) -> list[Row]:
    singles = []
    for _ in range(ONE_BY_ONE):
        writer.execute(VOTES, [1])
        singles.append(_ms(rollup.turn))
    writer.execute(VOTES, [MANY])
    many = _ms(rollup.turn)
    writer.execute(AMEND, [MANY])
    amended = _ms(rollup.turn)
    nothing = [_ms(rollup.turn) for _ in range(ONE_BY_ONE)]
    return [
        Row(name="rollup_1_vote_ms", value=statistics.median(singles), unit="ms"),
        Row(name="rollup_20000_votes_ms", value=many, unit="ms"),
        Row(name="rollup_20000_amendments_ms", value=amended, unit="ms"),
        Row(name="rollup_nothing_ms", value=statistics.median(nothing), unit="ms"),
        Row(name="rollup_rebuild_ms", value=_ms(rollup.rebuild), unit="ms"),
    ]


def _ms(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return 1000 * (time.perf_counter() - start)
