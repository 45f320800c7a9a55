"""Providers are synced by themselves."""

from __future__ import annotations

from contextlib import contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from imrs_server.domain.errors import ModelNotFound
from imrs_server.jobs.sync_schedule import SyncSchedule
from imrs_server.storage import exclusive
from tests.support.provider import fail
from tests.support.waiting import eventually

if TYPE_CHECKING:
    from collections.abc import Iterator

    from imrs_server.storage.database import Database
    from imrs_server.use_cases.sync import Sync
    from tests.support.synced import Synced


@pytest.fixture
def schedule(db: Database, sync: Sync) -> SyncSchedule:
    return SyncSchedule(db, sync, poll_seconds=0.02)


@contextmanager
def running(schedule: SyncSchedule) -> Iterator[None]:
    schedule.start()
    try:
        yield
    finally:
        schedule.stop()


def every(db: Database, interval: timedelta | None) -> None:
    with db.system() as tx:
        tx.execute("update providers set sync_interval = %s", [interval])


def has(synced: Synced, name: str) -> bool:
    try:
        return bool(synced.model(name))
    except ModelNotFound:
        return False


def age(db: Database, by: timedelta) -> None:
    with db.system() as tx:
        tx.execute("update providers set last_attempt_time = last_attempt_time - %s", [by])


def test_a_provider_is_synced_again_and_again(db: Database, synced: Synced, schedule: SyncSchedule) -> None:
    every(db, timedelta(seconds=0.1))
    with running(schedule):
        eventually(lambda: has(synced, "a"))
        synced.lists("a", "b", "c", "d", "later")
        eventually(lambda: has(synced, "later"))
    with db.system() as tx:
        rows = tx.execute("select distinct actor from audit_events where method = 'SyncProvider'").fetchall()
    assert rows == [{"actor": "imrs:sync_schedule"}]


def test_without_an_interval_or_when_disabled_nothing_happens(
    db: Database, synced: Synced, schedule: SyncSchedule
) -> None:
    assert schedule.turn() == 0
    every(db, timedelta(minutes=1))
    with db.system() as tx:
        tx.execute("update providers set state = 'DISABLED'")
    assert schedule.turn() == 0
    assert synced.upstream.requests == []


def test_the_interval_counts_from_the_last_attempt_whoever_made_it(
    db: Database, synced: Synced, schedule: SyncSchedule
) -> None:
    every(db, timedelta(hours=1))
    synced.run()
    assert schedule.turn() == 0
    age(db, timedelta(minutes=59))
    assert schedule.turn() == 0
    age(db, timedelta(minutes=8))
    assert schedule.turn() == 1
    assert schedule.turn() == 0


def test_failures_keep_the_catalogue_and_the_reason_and_are_retried_ever_more_rarely(
    db: Database, synced: Synced, schedule: SyncSchedule
) -> None:
    every(db, timedelta(hours=6))
    synced.run()
    age(db, timedelta(hours=7))
    before = synced.model("a")
    for minutes in (1, 2, 4):
        synced.upstream.script(fail(503))
        assert schedule.turn() == 1
        assert synced.model("a") == before
        with db.system() as tx:
            row = tx.execute("select last_sync_error, last_synced_time from providers").fetchone()
        assert row == {"last_sync_error": "PROVIDER_UNAVAILABLE", "last_synced_time": before.synced_time}
        assert schedule.turn() == 0
        age(db, timedelta(minutes=minutes, seconds=-40))
        assert schedule.turn() == 0
        age(db, timedelta(seconds=41))
    assert schedule.turn() == 1
    with db.system() as tx:
        row = tx.execute("select last_sync_error, sync_failures from providers").fetchone()
    assert row == {"last_sync_error": "", "sync_failures": 0}


def test_one_server_at_a_time_does_it(db: Database, synced: Synced, schedule: SyncSchedule) -> None:
    every(db, timedelta(minutes=1))
    with exclusive.held(db, "imrs.job.sync_schedule"):
        assert schedule.turn() == 0
    assert synced.upstream.requests == []
    assert schedule.turn() == 1
