from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import TYPE_CHECKING, Any
from uuid import UUID, uuid4

import psycopg
import pytest
from psycopg.errors import CheckViolation, InsufficientPrivilege
from psycopg.rows import dict_row
from structlog.testing import capture_logs

from imrs_server.domain.errors import InvalidRequest
from imrs_server.jobs.partitions import PartitionLoop
from imrs_server.storage import partitions
from imrs_server.storage.partitions import Table
from tests.support import patience
from tests.support.schema import HERE, NOW, acting, insert
from tests.support.waiting import eventually

if TYPE_CHECKING:
    from collections.abc import Iterator

    from imrs_server.storage.database import Tx

pytestmark = pytest.mark.both_postgres

LAST_YEAR = NOW.year - 1
NEW_YEAR = datetime(NOW.year, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)
TIME_COLUMN = {
    Table.DECISIONS: "create_time",
    Table.MESSAGES: "partition_time",
    Table.FEEDBACK: "partition_time",
    Table.AUDIT_EVENTS: "create_time",
}


@pytest.fixture
def tx(database: str) -> Iterator[Tx]:
    """A connection of the owner, in autocommit mode."""
    with psycopg.connect(database, autocommit=True, row_factory=dict_row) as connection:
        yield connection


def names(connection: psycopg.Connection[Any], parent: str) -> list[str]:
    query = (
        "select inhrelid::regclass::text as name from pg_inherits where inhparent = %s::regclass order by 1"
    )
    with connection.cursor(row_factory=dict_row) as cursor:
        return [row["name"] for row in cursor.execute(query, [parent])]


def months_from(now: datetime, count: int) -> list[str]:
    numbers = [now.year * 12 + now.month - 1 + ahead for ahead in range(count)]
    return [f"{number // 12}_{number % 12 + 1:02}" for number in numbers]


def test_this_month_and_three_more_are_there_after_the_migration(tx: Tx) -> None:
    for table in Table:
        assert names(tx, table) == [f"{table}_{month}" for month in months_from(NOW, 4)]


def test_every_partitioned_table_is_known(tx: Tx) -> None:
    found = tx.execute("select partrelid::regclass::text as name from pg_partitioned_table")
    assert {row["name"] for row in found} == set(Table)


@pytest.mark.parametrize(
    ("now", "until"),
    [
        ("2026-01-31T00:00+00:00", "2026-04-01T00:00+00:00"),
        ("2026-09-30T23:59+00:00", "2026-12-01T00:00+00:00"),
        ("2026-10-01T00:00+00:00", "2027-01-01T00:00+00:00"),
        ("2026-12-31T23:59+00:00", "2027-03-01T00:00+00:00"),
        ("2027-01-01T08:00+09:00", "2027-03-01T00:00+00:00"),
    ],
)
def test_the_horizon_is_three_months_in_utc(now: str, until: str) -> None:
    assert partitions.horizon(datetime.fromisoformat(now)) == datetime.fromisoformat(until)


def test_ensuring_again_makes_nothing_and_a_later_horizon_makes_the_rest(tx: Tx) -> None:
    until = partitions.horizon(NOW)
    assert partitions.ensure(tx, until) == []
    made = partitions.ensure(tx, until + timedelta(days=31))
    (new,) = set(months_from(NOW, 5)) - set(months_from(NOW, 4))
    assert sorted(made) == sorted(f"{table}_{new}" for table in Table)


@pytest.mark.parametrize("zone", ["UTC", "Asia/Tokyo", "America/Los_Angeles"])
def test_rows_at_the_years_end_are_kept_in_their_utc_month(zone: str, tx: Tx) -> None:
    tx.execute("select set_config('timezone', %s, false)", [zone])
    for table, column in TIME_COLUMN.items():
        for time in (NEW_YEAR - MICROSECOND, NEW_YEAR):
            is_now = (time.year, time.month) == (NOW.year, NOW.month)
            assert partitions.ensure_month(tx, table, time) is not is_now
            insert(tx, table, **{column: time})
        found = tx.execute(f"select tableoid::regclass::text as name from {table} order by {column}")
        assert [row["name"] for row in found] == [f"{table}_{LAST_YEAR}_12", f"{table}_{LAST_YEAR + 1}_01"]


def test_months_meet_without_a_gap(tx: Tx) -> None:
    tx.execute("set timezone to 'Asia/Kolkata'")
    for month in range(1, 13):
        partitions.ensure_month(tx, Table.MESSAGES, datetime(LAST_YEAR, month, 28, tzinfo=UTC))
        partitions.ensure_month(tx, Table.MESSAGES, datetime(LAST_YEAR + 1, month, 1, tzinfo=UTC))
    tx.execute("set timezone to 'UTC'")
    bounds = tx.execute("""
        select regexp_matches(pg_get_expr(relpartbound, oid), '''(.*)''.*''(.*)''') as ends
        from pg_class where relname like 'messages\\_20%' and relkind = 'r' order by relname
    """).fetchall()
    assert len(bounds) >= 24
    assert all(row["ends"][0].endswith("-01 00:00:00+00") for row in bounds)
    assert all(a["ends"][1] == b["ends"][0] for a, b in pairwise(bounds))


@pytest.mark.parametrize("role", ["imrs_app", "imrs_system"])
def test_a_missing_partition_is_made_by_the_role_that_missed_it(role: str, database: str) -> None:
    time = NEW_YEAR - timedelta(days=200)
    with pytest.raises(CheckViolation) as caught, acting(database, role, HERE) as connection:
        insert(connection, "messages", partition_time=time)
    assert partitions.is_missing(caught.value)

    with psycopg.connect(database, row_factory=dict_row, options=f"-c role={role}") as connection:
        assert partitions.ensure_month(connection, Table.MESSAGES, time) is True
        assert partitions.ensure_month(connection, Table.MESSAGES, time) is False
    with acting(database, role, HERE) as connection:
        insert(connection, "messages", partition_time=time)


def test_a_failed_check_is_not_taken_for_a_missing_partition(database: str) -> None:
    with pytest.raises(CheckViolation) as caught, acting(database, "imrs_app", HERE) as connection:
        insert(connection, "messages", rating=2.0)
    assert not partitions.is_missing(caught.value)


@pytest.mark.parametrize("time", [datetime(2019, 12, 31, tzinfo=UTC), NOW + timedelta(days=400)])
def test_a_time_that_cannot_be_true_makes_no_partition(time: datetime, tx: Tx) -> None:
    before = names(tx, Table.FEEDBACK)
    with pytest.raises(InvalidRequest, match="after 2019"):
        partitions.ensure_month(tx, Table.FEEDBACK, time)
    assert names(tx, Table.FEEDBACK) == before


def test_only_partitioned_tables_get_partitions(tx: Tx) -> None:
    with pytest.raises(psycopg.errors.UndefinedTable):
        tx.execute("select ensure_partition('providers', now())")


def test_of_callers_that_miss_the_same_partition_one_makes_it(database: str) -> None:
    def make(_: int) -> bool:
        with psycopg.connect(database, row_factory=dict_row, options="-c role=imrs_app") as connection:
            return partitions.ensure_month(connection, Table.DECISIONS, NEW_YEAR - timedelta(days=1))

    with ThreadPoolExecutor(8) as pool:
        assert sorted(pool.map(make, range(8))) == [False] * 7 + [True]


def test_inserts_go_on_while_a_partition_is_made(database: str, tx: Tx) -> None:
    with psycopg.connect(database) as writer, psycopg.connect(database, row_factory=dict_row) as maker:
        insert(writer, "messages")  # holds its lock on the parent until it ends
        partitions.ensure_month(maker, Table.MESSAGES, NEW_YEAR - timedelta(days=1))
        tx.execute("set lock_timeout = '500ms'")
        insert(tx, "messages", message_id=uuid4())
        maker.commit()
        writer.commit()
    insert(tx, "messages", message_id=uuid4(), partition_time=NEW_YEAR - timedelta(days=1))


def test_a_partition_is_not_reached_past_its_parent(database: str) -> None:
    name = f"messages_{months_from(NOW, 1)[0]}"
    for role in ("imrs_app", "imrs_system"):
        with pytest.raises(InsufficientPrivilege), acting(database, role, HERE) as connection:
            connection.execute(f"select from {name}")


def test_a_partition_has_all_that_its_parent_has(tx: Tx) -> None:
    """Indexes attached, checks and defaults copied, row-level security forced."""
    child = f"feedback_{months_from(NOW, 1)[0]}"
    indexes = "select count(*) from pg_index where indrelid = %s::regclass"
    attached = f"{indexes} and exists (select from pg_inherits where inhrelid = indexrelid)"
    assert tx.execute(attached, [child]).fetchone() == tx.execute(indexes, ["feedback"]).fetchone()
    insert(tx, "feedback")
    with pytest.raises(psycopg.errors.UniqueViolation):
        insert(tx, "feedback", feedback_id=UUID(int=77))
    with pytest.raises(CheckViolation):
        insert(tx, "feedback", feedback_id=UUID(int=77), user_id="v", rating=float("nan"))


def test_the_loop_makes_what_is_missing_at_start_and_again_later(database: str, tx: Tx) -> None:
    name = f"decisions_{months_from(NOW, 4)[-1]}"
    with patience.database(database) as server:
        loop = PartitionLoop(server, period_seconds=0.05, retry_seconds=0.05)
        try:
            for _ in range(2):
                tx.execute(f"drop table {name}")
                if not loop.running:
                    loop.start()
                eventually(lambda: name in names(tx, Table.DECISIONS))
        finally:
            loop.stop()
    assert not loop.running


def test_the_loop_outlives_a_turn_that_fails(database: str, tx: Tx) -> None:
    name = f"decisions_{months_from(NOW, 4)[-1]}"
    tx.execute(f"drop table {name}")
    tx.execute("alter function ensure_partition rename to elsewhere")
    with patience.database(database) as server:
        loop = PartitionLoop(server, retry_seconds=0.05)
        try:
            with capture_logs() as logged:
                loop.start()
                eventually(lambda: any(line["event"] == "partitions.failed" for line in logged))
                tx.execute("alter function elsewhere rename to ensure_partition")
                eventually(lambda: name in names(tx, Table.DECISIONS))
        finally:
            loop.stop()
