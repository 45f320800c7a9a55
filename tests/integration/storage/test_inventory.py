"""What a database holds, as figures tell it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import psycopg
import pytest

from imrs_server.jobs.stocktaking import Stocktaking
from imrs_server.storage import inventory, partitions
from imrs_server.storage.database import Database
from imrs_server.storage.inventory import Outbox
from tests.support import patience
from tests.support.schema import insert
from tests.support.waiting import eventually

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def db(database: str) -> Iterator[Database]:
    with patience.database(database) as opened:
        yield opened


def test_an_empty_database_has_nothing_to_tell_but_of_partitions(db: Database) -> None:
    with db.system() as tx:
        partitions.ensure(tx, partitions.horizon(datetime.now(UTC)))
        found = inventory.take(tx)
    assert found.outbox == Outbox(waiting=0, parked=0, oldest_seconds=0.0)
    assert found.months_ahead == partitions.MONTHS_AHEAD
    assert found.synced == ()


def test_months_ahead_are_those_of_the_table_that_has_the_fewest(db: Database) -> None:
    with db.system() as tx:
        partitions.ensure(tx, partitions.horizon(datetime.now(UTC)))
        partitions.ensure_month(tx, partitions.Table.MESSAGES, datetime.now(UTC) + timedelta(days=150))
        assert inventory.take(tx).months_ahead == partitions.MONTHS_AHEAD


def test_what_waits_what_is_parked_and_what_was_synced(db: Database, database: str) -> None:
    now = datetime.now(UTC)
    with psycopg.connect(database) as connection:
        for key, ago, parked in (("a", 60, False), ("b", 5, False), ("c", 600, True)):
            insert(
                connection,
                "outbox",
                key=key,
                create_time=now - timedelta(seconds=ago),
                park_time=now if parked else None,
            )
        insert(connection, "providers", provider_id="new")
        insert(connection, "providers", provider_id="good", last_synced_time=now - timedelta(hours=1))
        insert(connection, "providers", provider_id="bad", last_sync_error="PROVIDER_UNAVAILABLE")
    with db.system() as tx:
        found = inventory.take(tx)
    assert (found.outbox.waiting, found.outbox.parked) == (2, 1)
    assert 60 <= found.outbox.oldest_seconds < 120
    synced = {each.provider_id: each for each in found.synced}
    assert synced.keys() == {"good", "bad"}
    assert 3600 <= (synced["good"].age_seconds or 0) < 3660
    assert (synced["bad"].age_seconds, synced["bad"].failing) == (None, True)


def test_the_thread_knows_whether_the_database_answers(database: str) -> None:
    db = Database(database)
    stock = Stocktaking(db, poll_seconds=0.05)
    stock.start()
    assert (stock.found, stock.answers) == (None, False)
    db.open()
    eventually(lambda: stock.answers and stock.found is not None)
    db.close()
    eventually(lambda: not stock.answers)
    assert stock.found is not None
    stock.stop()
