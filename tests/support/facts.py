"""Random votes, calls and decisions in bulk, past the use cases; and the evidence that follows from rows."""

from __future__ import annotations

import math
import random
from collections import defaultdict
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import psycopg
from psycopg.rows import dict_row

from imrs_client.ids import new_id
from tests.support.schema import ELSEWHERE, HERE

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from typing import Self

Cell = tuple[Any, str, str, str]
Fact = tuple[dict[str, Any], datetime, dict[str, float]]
TENANTS, AGENTS, TASKS = (HERE, ELSEWHERE), ("a", "b", "c"), ("code", "text", "law")
MODELS = ("p/m", "p/n", "p/o", "p/q")
KINDS = (
    ("EXPLICIT", None), ("EXPLICIT", "SCORE"), ("EXPLICIT", "THUMBS_UP"), ("EXPLICIT", "THUMBS_DOWN"),
    ("SELF_EVAL", "EVALUATION"), ("SELF_EVAL", None), ("IMPLICIT", None), ("IMPLICIT", "REGENERATE"),
    ("IMPLICIT", "COPY"), ("IMPLICIT", "CONTINUE"), ("IMPLICIT", "ABANDON"),
)  # fmt: skip
COLUMN = {
    "THUMBS_UP": "thumbs_up", "THUMBS_DOWN": "thumbs_down", "REGENERATE": "regenerate", "COPY": "copy",
    "CONTINUE": "continue", "ABANDON": "abandon",
}  # fmt: skip
BY_TYPE = {"EXPLICIT": "explicit", "SELF_EVAL": "self", "IMPLICIT": "implicit"}

ENDS = (
    ("OK", ""),
    ("OK", ""),
    ("OK", ""),
    ("ERROR", "overloaded"),
    ("ERROR", "bad_request"),
    ("TIMEOUT", "timeout"),
    ("CANCELLED", ""),
)
_AMEND_VOTES = """
    update feedback
    set rating = new.rating, event_time = new.time, model_id = new.model_id, counts = new.counts,
        speaks = new.speaks
    from unnest(%s::uuid[], %s::uuid[], %s::float8[], %s::timestamptz[], %s::text[], %s::bool[], %s::bool[])
        as new (tenant_id, id, rating, time, model_id, counts, speaks)
    where feedback.tenant_id = new.tenant_id and feedback_id = new.id
"""
_AMEND_CALLS = """
    update messages
    set outcome = new.outcome, error_kind = new.error_kind, latency_ms = new.latency_ms
    from unnest(%s::uuid[], %s::uuid[], %s::text[], %s::text[], %s::int[])
        as new (tenant_id, id, outcome, error_kind, latency_ms)
    where messages.tenant_id = new.tenant_id and message_id = new.id
"""
_WHERE = "from unnest(%s::uuid[], %s::uuid[]) as o (tenant_id, id) where"
_TURN_OVER = f"""
    update feedback set revoke_time = case when revoke_time is null then now() end
    {_WHERE} feedback.tenant_id = o.tenant_id and feedback_id = o.id
"""
_DELETE = """
    delete from feedback using unnest(%s::uuid[], %s::uuid[]) as o (tenant_id, id)
    where feedback.tenant_id = o.tenant_id and feedback_id = o.id
"""


class Writer:
    """One connection that writes and changes facts of its own, and commits when it is told to."""

    def __init__(self, dsn: str, seed: int) -> None:
        self._connection = psycopg.connect(dsn)
        self._pick = random.Random(seed)
        self._now = datetime.now(UTC)
        self._votes: list[tuple[Any, Any]] = []
        self._calls: list[tuple[Any, Any]] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.close()

    def commit(self) -> None:
        self._connection.commit()

    def events(self, count: int) -> None:
        """Write that many: half of them votes, the others calls, decisions, and changes of what there is."""
        share = max(count // 20, 1)
        self._insert_votes(10 * share)
        self._insert_calls(3 * share)
        self._insert_decisions(2 * share)
        pick = self._pick
        some = self._some(self._votes, 2 * share)
        self._connection.execute(
            _AMEND_VOTES,
            [
                *some,
                [pick.random() for _ in some[0]],
                [self._time(400) for _ in some[0]],
                [pick.choice(MODELS) for _ in some[0]],
                [pick.random() < 0.8 for _ in some[0]],
                [pick.random() < 0.7 for _ in some[0]],
            ],
        )
        self._connection.execute(_TURN_OVER, self._some(self._votes, share))
        self._connection.execute(_DELETE, self._some(self._votes, max(share // 5, 1)))
        some = self._some(self._calls, share)
        self._connection.execute(
            _AMEND_CALLS,
            [*some, *self._ends(len(some[0])), [pick.randrange(3000) for _ in some[0]]],
        )

    def _some(self, keys: list[tuple[Any, Any]], count: int) -> list[list[Any]]:
        found = self._pick.sample(keys, min(count, len(keys)))
        return [[tenant_id for tenant_id, _ in found], [key for _, key in found]]

    def _time(self, days: int) -> datetime:
        return self._now - timedelta(days=days * self._pick.random() ** 3)

    def _end(self) -> tuple[str, str]:
        """How a call ended, and what went wrong."""
        return self._pick.choice(ENDS)

    def _ends(self, count: int) -> list[list[str]]:
        found = [self._end() for _ in range(count)]
        return [[outcome for outcome, _ in found], [error_kind for _, error_kind in found]]

    def _cell(self) -> tuple[Any, str, str, str]:
        pick = self._pick.choice
        return pick(TENANTS), pick(AGENTS), pick(TASKS), pick(MODELS)

    def _insert_votes(self, count: int) -> None:
        rows = []
        for _ in range(count):
            feedback_type, signal = self._pick.choice(KINDS)
            row = (
                *self._cell(), new_id(), new_id(), self._now, self._pick.random(), feedback_type, signal,
                self._pick.random() < 0.05, self._time(400), self._pick.random() < 0.9,
                self._pick.random() < 0.8,
            )  # fmt: skip
            self._votes.append((row[0], row[4]))
            rows.append(row)
        self._copy(
            "feedback (tenant_id, agent_id, task_type, model_id, feedback_id, message_id, partition_time, "
            "rating, feedback_type, signal, pending, event_time, counts, speaks)",
            rows,
        )

    def _insert_calls(self, count: int) -> None:
        rows = []
        for _ in range(count):
            latency_ms = self._pick.choice((0, self._pick.randrange(1, 60_000)))
            row = (*self._cell(), new_id(), self._now, self._time(90), *self._end(), latency_ms)
            self._calls.append((row[0], row[4]))
            rows.append(row)
        self._copy(
            "messages (tenant_id, agent_id, task_type, model_id, message_id, partition_time, create_time, "
            "outcome, error_kind, latency_ms)",
            rows,
        )

    def _insert_decisions(self, count: int) -> None:
        month = self._now.replace(day=1, hour=0, minute=0)
        rows = [
            (*self._cell(), new_id(), max(self._time(30), month), "HIGH", "TOOL", "SCORE")
            for _ in range(count)
        ]
        self._copy(
            "decisions (tenant_id, agent_id, task_type, model_id, decision_id, create_time, confidence, "
            "source, reason)",
            rows,
        )

    def _copy(self, into: str, rows: Iterable[tuple[Any, ...]]) -> None:
        with self._connection.cursor() as cursor, cursor.copy(f"copy {into} from stdin".encode()) as stream:
            for row in rows:
                stream.write_row(row)


def evidence(dsn: str) -> dict[Cell, dict[str, Any]]:
    """The table, by cell."""
    with psycopg.connect(dsn, row_factory=dict_row) as connection:
        keys = ("tenant_id", "agent_id", "task_type", "model_id")
        return {
            tuple(row.pop(key) for key in keys): row
            for row in connection.execute("select * from evidence").fetchall()
        }


def reference(dsn: str, half_life: timedelta, times: dict[Cell, datetime]) -> dict[Cell, dict[str, float]]:
    """The same from the rows there are, each sum at the time given for its cell."""
    parts: dict[Cell, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    with psycopg.connect(dsn, row_factory=dict_row) as connection:
        for row, time, sums in _facts(connection):
            for agent_id in (row["agent_id"], ""):
                cell = (row["tenant_id"], agent_id, row["task_type"], row["model_id"])
                age = (times[cell] - time) / half_life if half_life else 0.0
                for name, value in sums.items():
                    parts[cell][name].append(value if name.startswith("raw_") else value * 2.0**-age)
    return {cell: {name: math.fsum(some) for name, some in sums.items()} for cell, sums in parts.items()}


def _facts(
    connection: psycopg.Connection[Any],
) -> Iterator[tuple[dict[str, Any], datetime, dict[str, float]]]:
    for row in connection.execute("select * from feedback where not pending and revoke_time is null"):
        rating, sums = row["rating"], {}
        if row["counts"]:
            kind = COLUMN.get(row["signal"]) or BY_TYPE[row["feedback_type"]]
            sums = {f"{kind}_n": 1.0, f"{kind}_s": rating}
            if kind in BY_TYPE.values():
                sums[f"{kind}_q"] = rating**2
        if row["speaks"]:
            sums |= {"raw_n": 1.0, "raw_s": rating}
        yield row, row["event_time"], sums
    for row in connection.execute("select * from messages"):
        sums = {"calls": 1.0}
        if row["outcome"] in {"ERROR", "TIMEOUT"} and row["error_kind"] != "bad_request":
            sums["errors"] = 1.0
        if row["outcome"] == "OK" and row["latency_ms"]:
            sums |= {"latency_n": 1.0, "latency_ms_sum": row["latency_ms"]}
        yield row, row["create_time"], sums
    for row in connection.execute("select * from decisions"):
        yield row, row["create_time"], {"decisions": 1.0}
