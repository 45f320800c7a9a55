"""Endpoints in the database: who loads takes turns, and calls are counted over all processes."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import psycopg
import pytest

from imrs_server.domain.endpoint import Endpoint, EndpointState
from imrs_server.storage import endpoints
from tests.support import patience
from tests.support.schema import insert
from tests.support.waiting import eventually

if TYPE_CHECKING:
    from collections.abc import Iterator
    from uuid import UUID

    from imrs_server.storage.database import Database

HOT, LOADING, COLD, DOWN = EndpointState


class Pool:
    """The endpoint ``e`` of a model, as one server sees it."""

    def __init__(self, database: Database) -> None:
        self.database = database

    def begin(self, state: EndpointState, unless: EndpointState) -> UUID | None:
        busy_id = uuid4()
        with self.database.transaction() as tx:
            return busy_id if endpoints.begin(tx, "e", busy_id, state, unless=unless) else None

    def end(self, busy_id: UUID, state: EndpointState, **fields: Any) -> Endpoint | None:
        with self.database.transaction() as tx:
            return endpoints.end(tx, "e", busy_id, state, **fields)

    def idle(self, *, state_age: timedelta | None = None) -> bool:
        """Whether it is, perhaps where its state is so old: all by the one time of a transaction."""
        with self.database.transaction() as tx:
            if state_age is not None:
                tx.execute("update endpoints set state_time = now() - %s", [state_age])
            (task,) = endpoints.tasks(tx)
            # What the list says and what may be begun are the same.
            begun = endpoints.begin_idle(tx, "e", uuid4())
            assert (begun is not None) == task.idle
            tx.execute("update endpoints set busy_id = null, busy_until = null, state = %s", ["HOT"])
        return task.idle

    def count(self, process_id: UUID, in_flight: int, *others: str) -> None:
        told = dict.fromkeys(("e", *others), in_flight)
        with self.database.transaction() as tx:
            endpoints.count_calls(tx, process_id, {**told, "unknown": 3})

    def get(self) -> Endpoint:
        with self.database.transaction() as tx:
            found = endpoints.get(tx, "e")
        assert found is not None
        return found

    def set(self, **columns: Any) -> None:
        names = ", ".join(f"{name} = %({name})s" for name in columns)
        self.execute(f"update endpoints set {names}", **columns)

    def execute(self, statement: str, **values: Any) -> None:
        with self.database.transaction() as tx:
            tx.execute(statement, values)


@pytest.fixture
def pool(database: str) -> Iterator[Pool]:
    with psycopg.connect(database) as connection:
        for table in ("providers", "models", "endpoints"):
            insert(connection, table)
    with patience.database(database) as found:
        yield Pool(found)


def test_of_many_who_begin_at_once_one_does(pool: Pool) -> None:
    with ThreadPoolExecutor(10) as threads:
        begun = list(threads.map(lambda _: pool.begin(LOADING, HOT), range(30)))
    (busy_id,) = (each for each in begun if each)
    assert (pool.get().state, pool.get().busy) == (LOADING, True)
    assert pool.begin(COLD, COLD) is None
    ended = pool.end(busy_id, HOT, memory_bytes=7, placed_url="http://10.0.0.1:8051/v1")
    assert ended is not None
    assert (ended.state, ended.memory_bytes, ended.url) == (HOT, 7, "http://10.0.0.1:8051/v1")
    assert ended.base_url == "http://10.0.0.1:8000"
    # It is as wanted.
    assert pool.begin(LOADING, HOT) is None


def test_who_took_too_long_has_no_say_any_more(pool: Pool) -> None:
    slow = pool.begin(LOADING, HOT)
    assert slow is not None
    pool.execute("update endpoints set busy_until = now() - interval '1 second'")
    assert not pool.get().busy
    quick = pool.begin(LOADING, HOT)
    assert quick is not None
    assert pool.end(slow, DOWN, load_error="late") is None
    assert pool.end(quick, HOT) is not None
    assert (pool.get().state, pool.get().load_error) == (HOT, "")


def test_what_cannot_be_loaded_waits_longer_each_time(pool: Pool) -> None:
    waits = []
    for _ in range(8):
        busy_id = pool.begin(LOADING, HOT)
        assert busy_id is not None
        pool.end(busy_id, DOWN, load_error="no memory")
        with pool.database.transaction() as tx:
            (row,) = tx.execute(
                "select extract(epoch from due_time - state_time)::float8 as s from endpoints"
            )
        waits.append(round(row["s"]))
    assert waits == [5, 10, 20, 40, 80, 160, 300, 300]
    busy_id = pool.begin(LOADING, HOT)
    assert busy_id is not None
    pool.end(busy_id, HOT)
    busy_id = pool.begin(COLD, COLD)
    assert busy_id is not None
    pool.end(busy_id, DOWN)
    with pool.database.transaction() as tx:
        (row,) = tx.execute("select downs from endpoints")
    assert row["downs"] == 1


def test_what_was_seen_counts_unless_it_changed_meanwhile(pool: Pool) -> None:
    before = pool.get()
    with pool.database.transaction() as tx:
        seen = endpoints.see(tx, before, HOT, memory_bytes=9)
    assert seen is not None
    assert (seen.state, seen.memory_bytes) == (HOT, 9)
    with pool.database.transaction() as tx:
        assert endpoints.see(tx, before, COLD) is None
    assert pool.begin(COLD, COLD) is not None
    with pool.database.transaction() as tx:
        # Somebody is at it.
        assert endpoints.see(tx, pool.get(), HOT) is None


@pytest.mark.parametrize(
    ("ttl", "minutes", "idle"),
    [(None, 600, False), (timedelta(minutes=5), 4, False), (timedelta(minutes=5), 6, True)],
    ids=["without a ttl", "before it", "after it"],
)
def test_idle_is_who_had_no_call_for_its_ttl(
    pool: Pool, ttl: timedelta | None, minutes: int, idle: bool
) -> None:
    pool.set(state="HOT", ttl=ttl)
    pool.count(uuid4(), 0)
    ago = {"ago": timedelta(minutes=minutes)}
    pool.execute("update endpoint_calls set update_time = now() - %(ago)s", **ago)
    assert not pool.idle()
    assert pool.idle(state_age=timedelta(days=1)) is idle


def test_nobody_is_idle_before_servers_could_have_told_of_a_call(pool: Pool) -> None:
    pool.set(state="HOT", ttl=timedelta(0))
    assert not pool.idle()
    assert not pool.idle(state_age=timedelta(seconds=4))
    assert pool.idle(state_age=timedelta(seconds=6))


def test_calls_are_added_up_and_those_of_the_dead_are_forgotten(pool: Pool) -> None:
    one, two = uuid4(), uuid4()
    pool.count(one, 3)
    pool.count(two, 4)
    pool.count(two, 2)
    assert pool.get().in_flight == 5
    pool.execute(
        "update endpoint_calls set update_time = now() - interval '11 seconds' where process_id = %(id)s",
        id=one,
    )
    found = pool.get()
    assert found.in_flight == 2
    pool.execute("update endpoint_calls set update_time = update_time - interval '2 hours'")
    used = pool.get().last_used_time
    with pool.database.transaction() as tx:
        endpoints.fold_calls(tx)
        assert tx.execute("select * from endpoint_calls").fetchall() == []
    assert pool.get().last_used_time == used


def test_calls_of_an_endpoint_that_goes_at_this_moment_keep_no_others_from_being_counted(pool: Pool) -> None:
    with pool.database.transaction() as tx:
        for each in ("d", "f"):
            insert(tx, "endpoints", endpoint_id=each, base_url=f"http://10.0.0.1:8000/{each}")
    with ThreadPoolExecutor(1) as threads:
        with pool.database.transaction() as tx:
            endpoints.delete(tx, "e")
            counted = threads.submit(pool.count, uuid4(), 3, "d", "f")
            eventually(lambda: counted.done() or _waits(pool))
        counted.result()
    with pool.database.transaction() as tx:
        rows = tx.execute("select endpoint_id, in_flight from endpoint_calls order by endpoint_id").fetchall()
    assert rows == [{"endpoint_id": each, "in_flight": 3} for each in ("d", "f")]


def _waits(pool: Pool) -> bool:
    """Whether somebody waits for a row."""
    waiting = "select from pg_stat_activity where wait_event_type = 'Lock' and datname = current_database()"
    with psycopg.connect(pool.database.dsn, autocommit=True) as connection:
        return connection.execute(waiting).fetchone() is not None


def test_another_address_is_another_place(pool: Pool) -> None:
    """And the same one, or where the model was placed, is not."""
    busy_id = pool.begin(LOADING, HOT)
    assert busy_id is not None
    pool.end(busy_id, HOT, placed_url="http://10.0.0.1:8051")

    def put(base_url: str) -> Endpoint:
        wanted = Endpoint(endpoint_id="e", model_id="p/m", base_url=base_url, weight=4)
        with pool.database.transaction() as tx:
            return endpoints.put(tx, wanted)

    for base_url in ("http://10.0.0.1:8000", "http://10.0.0.1:8051"):
        kept = put(base_url)
        assert (kept.state, kept.url, kept.weight) == (HOT, "http://10.0.0.1:8051", 4)
    moved = put("http://10.0.0.2:8000")
    assert (moved.state, moved.url) == (COLD, "http://10.0.0.2:8000")
