"""The outbox on its way to SomaBrain, which is slow, fussy, broken, or not there at all."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from ipaddress import ip_network
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import psycopg
import pytest
from psycopg.rows import dict_row
from structlog.testing import capture_logs

from imrs_server.adapters.addresses import AddressRules
from imrs_server.adapters.http import GuardedClient
from imrs_server.adapters.somabrain import SomaBrain
from imrs_server.domain.memory import Item
from imrs_server.jobs.outbox import TRIES, OutboxDelivery
from imrs_server.storage import outbox
from tests.support import patience
from tests.support import provider as act
from tests.support.clock import Clock
from tests.support.schema import ELSEWHERE, HERE
from tests.support.somabrain import TOKEN, FakeSomaBrain
from tests.support.tcp_relay import TcpRelay
from tests.support.waiting import eventually

if TYPE_CHECKING:
    from collections.abc import Iterator
    from uuid import UUID

    from imrs_server.storage.database import Database

LOOPBACK = AddressRules(allowed=(ip_network("127.0.0.0/8"),))
CLIENT = GuardedClient(LOOPBACK, timing=patience.TIMING)
SECONDS = 60.0
BLOCKED = "select 1 from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'"


@pytest.fixture
def db(database: str) -> Iterator[Database]:
    with patience.database(database) as opened:
        yield opened


@pytest.fixture
def sink() -> Iterator[FakeSomaBrain]:
    with FakeSomaBrain() as started:
        yield started


def delivery(db: Database, url: str, *, client: GuardedClient = CLIENT, **options: Any) -> OutboxDelivery:
    somabrain = SomaBrain(client, url, token=lambda: TOKEN, namespace="ratings", seconds=SECONDS)
    return OutboxDelivery(db, somabrain, **({"poll_seconds": 0.02, "away_seconds": 0.02} | options))


@contextmanager
def running(job: OutboxDelivery) -> Iterator[OutboxDelivery]:
    job.start()
    try:
        yield job
    finally:
        job.stop()


def put(db: Database, *keys: str, rating: float | None = 1.0, tenant_id: UUID = HERE) -> None:
    with db.system() as tx:
        outbox.put(
            tx,
            [
                Item(
                    tenant_id=tenant_id,
                    key=key,
                    payload={"value": {"rating": rating}, "tags": ["rating"], "importance": 1.0},
                )
                for key in keys
            ],
        )


def held_up(sink: FakeSomaBrain) -> tuple[threading.Event, threading.Event]:
    """It has heard of something, and answers nothing until it may."""
    entered, go_on = threading.Event(), threading.Event()
    usual = sink.next_behaviour

    def slow(received: Any) -> Any:
        entered.set()
        assert go_on.wait(20)
        return usual(received)

    sink.next_behaviour = slow  # type: ignore[method-assign]  # a behaviour of the test's own sink
    return entered, go_on


def waiting(db: Database) -> list[dict[str, Any]]:
    with psycopg.connect(db.dsn, row_factory=dict_row) as connection:
        return connection.execute("select * from outbox order by key").fetchall()


def make_due(db: Database) -> None:
    with psycopg.connect(db.dsn) as connection:
        connection.execute("update outbox set next_time = now()")


def test_everything_arrives_in_batches_of_one_tenant(db: Database, sink: FakeSomaBrain) -> None:
    put(db, *(str(number) for number in range(25)))
    put(db, "0", "1", tenant_id=ELSEWHERE)
    with running(delivery(db, sink.url, batch=10)):
        eventually(lambda: not waiting(db))
    assert len(sink.memories) == 27
    assert len(sink.requests) <= 6


def test_what_comes_later_goes_out_when_it_is_woken(db: Database, sink: FakeSomaBrain) -> None:
    with running(delivery(db, sink.url, poll_seconds=3600.0)) as job:
        for number in range(3):
            put(db, str(number))
            job.wake()
            eventually(lambda: not waiting(db))
    assert [key for key, _ in sink.tellings] == ["0", "1", "2"]


@pytest.mark.parametrize("status", [400, 413, 422])
def test_an_item_that_it_refuses_is_parked_at_once_and_the_others_arrive(
    db: Database, sink: FakeSomaBrain, status: int
) -> None:
    sink.spoilt = {"7": status}
    put(db, *(str(number) for number in range(20)))
    job = delivery(db, sink.url)
    job.turn()
    (row,) = waiting(db)
    assert (row["key"], row["park_time"] is None, job.parked) == ("7", False, 1)
    assert str(status) in row["last_error"]
    assert len(sink.memories) == 19
    assert job.turn().left == []


@pytest.mark.parametrize("fault", ["status", "hang"])
def test_an_item_over_which_it_fails_holds_up_nobody_and_is_parked_after_ten_tries(
    db: Database, sink: FakeSomaBrain, fault: str
) -> None:
    clock = Clock()
    job = delivery(db, sink.url, client=GuardedClient(LOOPBACK, timing=patience.TIMING, clock=clock))
    if fault == "hang":
        hang_over(sink, "bad", clock)
    else:
        sink.spoilt = {"bad": 502}
    put(db, "bad")
    for number in range(TRIES):
        assert waiting(db)[-1]["attempts"] == number
        put(db, str(number))
        make_due(db)
        job.turn()
        assert sink.value(str(number)) == {"rating": 1.0}
    (row,) = waiting(db)
    assert (row["attempts"], row["park_time"] is None, job.parked) == (TRIES, False, 1)


def hang_over(sink: FakeSomaBrain, key: str, clock: Clock) -> None:
    """Let it say nothing to any batch with that key, until it is too late."""
    usual = sink.next_behaviour
    word = f'"{key}"'.encode()
    too_late = act.after(lambda: clock.pass_by(SECONDS), act.hang)
    sink.next_behaviour = (  # type: ignore[method-assign]  # a behaviour of the test's own sink
        lambda received: too_late if word in received.body else usual(received)
    )


@pytest.mark.parametrize("status", [401, 403, 429, 500, 502, 503])
def test_while_it_is_down_nothing_is_held_against_items_and_then_they_arrive(
    db: Database, sink: FakeSomaBrain, status: int
) -> None:
    sink.status = status
    put(db, *(str(number) for number in range(5)))
    with capture_logs() as logged, running(delivery(db, sink.url, away_seconds=0.001)) as job:
        eventually(lambda: [each["event"] for each in logged].count("somabrain.away") > TRIES)
        assert {row["attempts"] for row in waiting(db)} == {0}
        sink.status = None
        eventually(lambda: not waiting(db))
        assert job.parked == 0
    assert "somabrain.back" in [each["event"] for each in logged]
    assert TOKEN not in repr(logged)
    assert len(sink.memories) == 5


def test_votes_do_not_make_it_knock_while_it_is_away(db: Database, sink: FakeSomaBrain) -> None:
    sink.script(act.fail(429, retry_after="60"))
    with running(delivery(db, sink.url)) as job:
        put(db, "a")
        job.wake()
        eventually(lambda: len(sink.requests) == 1)
        for number in range(20):
            put(db, str(number))
            job.wake()
        eventually(lambda: not job._loop._woken.is_set())  # it has heard of the last one
    assert len(sink.requests) == 1
    assert len(waiting(db)) == 21


def test_it_comes_back_at_the_same_address(db: Database, sink: FakeSomaBrain) -> None:
    with TcpRelay(("127.0.0.1", sink.port)) as relay:
        put(db, "a", "b")
        url = urlsplit(sink.url)._replace(netloc=f"127.0.0.1:{relay.port}").geturl()
        with capture_logs() as logged, running(delivery(db, url)):
            eventually(lambda: any(each["event"] == "somabrain.away" for each in logged))
            relay.open()
            eventually(lambda: not waiting(db))
    assert len(sink.memories) == 2


def test_a_connection_that_is_cut_after_it_took_a_batch_brings_the_same_keys_again(
    db: Database, sink: FakeSomaBrain
) -> None:
    sink.cut = 1
    put(db, "a")
    with running(delivery(db, sink.url)):
        eventually(lambda: not waiting(db))
    assert sink.tellings == [("a", {"rating": 1.0})] * 2
    assert len(sink.memories) == 1


def test_the_newest_version_is_the_last_to_arrive_whatever_fails(db: Database, sink: FakeSomaBrain) -> None:
    """Three servers deliver, connections are cut, and versions come faster than they go out."""
    keys = [str(number) for number in range(5)]
    jobs = [delivery(db, sink.url, batch=2) for _ in range(3)]
    for job in jobs:
        job.start()
    try:
        for version in range(40):
            sink.cut += version % 3 == 0
            put(db, *keys, rating=version / 100)
            jobs[version % 3].wake()
        # Some may fail a few times, while others arrive.
        eventually(lambda: not waiting(db), 60)
    finally:
        for job in jobs:
            job.stop()
    for key in keys:
        versions = [value["rating"] for told, value in sink.tellings if told == key]
        assert versions == sorted(versions)
        assert versions[-1] == 0.39


def test_votes_that_come_while_it_is_told_what_became_of_others_wait_for_nobody_who_waits_for_them(
    db: Database, sink: FakeSomaBrain
) -> None:
    sink.spoilt = {"0": 400}
    put(db, "0", "1")
    entered, go_on = held_up(sink)
    with (
        psycopg.connect(db.dsn, row_factory=dict_row) as votes,
        psycopg.connect(db.dsn, autocommit=True) as looking,
        ThreadPoolExecutor(1) as pool,
    ):
        turn = pool.submit(delivery(db, sink.url).turn)
        assert entered.wait(20)
        votes.execute("select from outbox where key = '0' for update")
        go_on.set()
        eventually(lambda: looking.execute(BLOCKED).fetchone() is not None)
        outbox.put(votes, [Item(tenant_id=HERE, key=key, payload={"value": {}}) for key in "01"])
        votes.commit()
        found = turn.result(60)
    assert ([each.key for each in found.arrived], [each.key for each, _ in found.bad]) == (["1"], ["0"])
    assert [each["key"] for each in waiting(db)] == ["0", "1"]


def test_a_revoked_rating_takes_the_place_of_the_one_under_way(db: Database, sink: FakeSomaBrain) -> None:
    entered, go_on = held_up(sink)
    put(db, "a")
    with running(delivery(db, sink.url)):
        assert entered.wait(20)
        put(db, "a", rating=None)
        go_on.set()
        eventually(lambda: not waiting(db))
    assert [value["rating"] for _, value in sink.tellings] == [1.0, None]


def test_the_table_stays_bounded_and_what_is_lost_is_counted(db: Database, sink: FakeSomaBrain) -> None:
    sink.status = 503
    for number in range(50):
        put(db, f"{number:02}")
    with capture_logs() as logged, running(delivery(db, sink.url, capacity=20)) as job:
        eventually(lambda: job.dropped == 30)
    assert [row["key"] for row in waiting(db)] == [f"{number:02}" for number in range(30, 50)]
    assert [each["items"] for each in logged if each["event"] == "outbox.dropped"] == [30]


def test_stopping_leaves_the_rest_for_others(db: Database, sink: FakeSomaBrain) -> None:
    put(db, "a", "b")
    job = delivery(db, sink.url)
    job.start()
    job.stop()
    with running(delivery(db, sink.url)):
        eventually(lambda: not waiting(db))
    assert len(sink.memories) == 2
