"""The outbox: one row a key, claimed for a while, and never two versions of a key under way."""

from __future__ import annotations

import threading
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import psycopg
import pytest
from psycopg.rows import dict_row

from imrs_server.domain.memory import Item
from imrs_server.storage import outbox
from imrs_server.storage.outbox import Claimed, PutOff
from tests.support import patience
from tests.support.schema import ELSEWHERE, HERE
from tests.support.waiting import eventually

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from uuid import UUID

    from imrs_server.storage.database import Database

pytestmark = pytest.mark.both_postgres

LEASE = timedelta(minutes=2)


@pytest.fixture
def db(database: str) -> Iterator[Database]:
    with patience.database(database) as opened:
        yield opened


def item(key: str, version: int = 1, tenant_id: UUID = HERE) -> Item:
    return Item(tenant_id=tenant_id, key=key, payload={"version": version})


def put(db: Database, *items: Item) -> None:
    with db.system() as tx:
        outbox.put(tx, items)


def claim(db: Database, most: int = 100) -> list[Claimed]:
    with db.system() as tx:
        return outbox.claim(tx, LEASE, most=most)


def delivered(db: Database, items: Sequence[Claimed]) -> None:
    with db.system() as tx:
        outbox.delivered(tx, items)


def put_off(db: Database, *items: PutOff) -> None:
    with db.system() as tx:
        outbox.put_off(tx, items)


def rows(db: Database) -> list[dict[str, Any]]:
    with psycopg.connect(db.dsn, row_factory=dict_row) as connection:
        return connection.execute("select *, next_time <= now() as due from outbox order by key").fetchall()


def versions(items: Sequence[Claimed]) -> dict[str, int]:
    return {each.key: each.payload["version"] for each in items}


def test_a_key_goes_out_once_with_its_newest_version(db: Database) -> None:
    put(db, item("a"), item("b"), item("a", 2))
    put(db, item("b", 2), item("c"), item("a", 3, ELSEWHERE))
    found = claim(db)
    assert sorted((each.tenant_id.int, each.key, each.payload["version"]) for each in found) == sorted(
        [(HERE.int, "a", 2), (HERE.int, "b", 2), (HERE.int, "c", 1), (ELSEWHERE.int, "a", 3)]
    )
    assert claim(db) == []
    delivered(db, found)
    assert rows(db) == []


def test_who_may_vote_may_put_for_the_own_tenant_alone(db: Database) -> None:
    for version in (1, 2):
        with db.transaction(HERE) as tx:
            outbox.put(tx, [item("a", version)])
    with pytest.raises(psycopg.errors.InsufficientPrivilege), db.transaction(HERE) as tx:
        outbox.put(tx, [item("a", 3, ELSEWHERE)])
    assert versions(claim(db)) == {"a": 2}


def test_what_is_rolled_back_is_not_told(db: Database) -> None:
    with db.system() as tx:
        outbox.put(tx, [item("a")])
        raise psycopg.Rollback
    assert claim(db) == []


def test_the_longest_due_goes_first(db: Database) -> None:
    for key in ("b", "a", "c"):
        put(db, item(key))
    assert [each.key for each in claim(db, most=2)] != ["c", "a"]
    assert [each.key for each in claim(db, most=2)] == ["c"]


def test_a_newer_version_does_not_overtake_the_one_under_way(db: Database) -> None:
    put(db, item("a"))
    under_way = claim(db)
    put(db, item("a", 2))
    assert claim(db) == []
    delivered(db, under_way)
    assert versions(claim(db)) == {"a": 2}


def test_a_newer_version_follows_at_once_whatever_became_of_the_older(db: Database) -> None:
    put(db, item("a"), item("b"))
    first = {each.key: each for each in claim(db)}
    put(db, item("a", 2), item("b", 2))
    put_off(
        db,
        PutOff(item=first["a"], error="no", wait_seconds=3600, failed=True),
        PutOff(item=first["b"], error="no", failed=True, parked=True),
    )
    found = claim(db)
    assert versions(found) == {"a": 2, "b": 2}
    assert {each.attempts for each in found} == {0}


def test_the_lease_of_who_died_ends(db: Database) -> None:
    put(db, item("a"))
    with db.system() as tx:
        first = outbox.claim(tx, timedelta(0), most=1)
    again = claim(db)
    assert versions(first) == versions(again) == {"a": 1}
    delivered(db, first)  # it was only slow
    delivered(db, again)
    assert rows(db) == []


def test_what_failed_waits_and_what_is_parked_waits_for_a_newer_version(db: Database) -> None:
    put(db, item("a"), item("b"), item("c"))
    first = {each.key: each for each in claim(db)}
    put_off(
        db,
        PutOff(item=first["a"], error="failed", wait_seconds=3600, failed=True),
        PutOff(item=first["b"], error="bad", failed=True, parked=True),
        PutOff(item=first["c"], error="away"),
    )
    a, b, c = rows(db)
    assert (a["attempts"], a["due"], a["last_error"], a["park_time"]) == (1, False, "failed", None)
    assert (b["attempts"], b["last_error"], b["park_time"] is None) == (1, "bad", False)
    assert (c["attempts"], c["due"], c["park_time"]) == (0, True, None)
    assert versions(claim(db)) == {"c": 1}
    put(db, item("b", 2))
    assert versions(claim(db)) == {"b": 2}


def test_servers_share_the_work(db: Database) -> None:
    put(db, *(item(str(number)) for number in range(10)))
    with db.system() as one, db.system() as other:
        first, second = outbox.claim(one, LEASE, most=6), outbox.claim(other, LEASE, most=6)
    assert (len(first), len(second)) == (6, 4)
    assert versions(first).keys().isdisjoint(versions(second))


def test_a_version_that_is_put_while_the_older_is_noted_as_delivered_stays(db: Database) -> None:
    put(db, item("a"))
    under_way = claim(db)
    with db.system() as tx:
        outbox.put(tx, [item("a", 2)])
        noting = threading.Thread(target=delivered, args=(db, under_way))
        noting.start()
        eventually(lambda: is_waiting(db))
    noting.join(20)
    assert versions(claim(db)) == {"a": 2}


def is_waiting(db: Database) -> bool:
    with psycopg.connect(db.dsn) as connection:
        found = connection.execute("""
            select from pg_stat_activity
            where datname = current_database() and wait_event_type = 'Lock'
        """)
        return found.fetchone() is not None


def test_only_the_oldest_go_when_there_are_too_many(db: Database) -> None:
    for number in range(5):
        put(db, item(str(number)))
    put(db, item("0", 2))
    with db.system() as tx:
        assert outbox.trim(tx, keep=5, most=10) == 0
    with db.system() as tx:
        assert outbox.trim(tx, keep=3, most=1) == 1
    with db.system() as tx:
        assert outbox.trim(tx, keep=3, most=10) == 1
    assert [row["key"] for row in rows(db)] == ["2", "3", "4"]
