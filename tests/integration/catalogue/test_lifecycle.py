"""Models leave in their time also between two syncs."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from imrs_server.domain.model import Lifecycle
from imrs_server.domain.sync import Action
from imrs_server.jobs.lifecycle import Lifecycle as LifecycleJob
from imrs_server.storage import changes
from tests.support.principals import PLATFORM
from tests.support.synced import item
from tests.support.waiting import eventually

if TYPE_CHECKING:
    from imrs_server.storage.database import Database
    from tests.support.synced import Synced


def revision(db: Database) -> int:
    with db.transaction() as tx:
        return changes.current(tx).rev


def age(db: Database, hours: int) -> None:
    """Let models be missing, and announced to go, for longer."""
    with db.system() as tx:
        tx.execute(
            "update models set missing_since = missing_since - %(by)s, retire_time = retire_time - %(by)s",
            {"by": timedelta(hours=hours)},
        )


def test_a_missing_model_is_kept_for_the_grace_then_retired_and_every_server_told(
    db: Database, synced: Synced
) -> None:
    synced.run()
    synced.lists("a", "b", "c")
    synced.run()
    job = LifecycleJob(db)
    age(db, 23)
    before = revision(db)
    assert job.turn() == 0
    assert synced.model("d").lifecycle is Lifecycle.MISSING
    assert revision(db) == before
    age(db, 2)
    assert job.turn() == 1
    assert synced.model("d").lifecycle is Lifecycle.RETIRED
    assert revision(db) == before + 1
    assert synced.history("d")[0].action is Action.RETIRED
    assert synced.history("d")[0].before == {"lifecycle": "MISSING"}
    assert job.turn() == 0
    synced.lists("a", "b", "c", "d")
    synced.run()
    assert synced.model("d").lifecycle is Lifecycle.ACTIVE


def test_a_model_is_retired_when_its_announced_time_passes(db: Database, synced: Synced) -> None:
    soon = (datetime.now(UTC) + timedelta(days=2)).date().isoformat()
    synced.lists(item("a", expiration_date=soon), "b")
    synced.run()
    assert synced.model("a").lifecycle is Lifecycle.RETIRING
    assert LifecycleJob(db).turn() == 0
    age(db, 72)
    assert LifecycleJob(db).turn() == 1
    assert synced.model("a").lifecycle is Lifecycle.RETIRED
    assert synced.model("b").lifecycle is Lifecycle.ACTIVE


def test_the_grace_is_a_setting(db: Database, synced: Synced) -> None:
    synced.run()
    synced.lists("a", "b", "c")
    synced.run()
    assert LifecycleJob(db, missing_grace=timedelta(0)).turn() == 1


def test_a_deleted_model_stays_as_it_was_deleted(db: Database, synced: Synced) -> None:
    synced.run()
    synced.lists("a", "b", "c")
    synced.run()
    synced.catalog.delete(PLATFORM, "or/d")
    age(db, 48)
    assert LifecycleJob(db).turn() == 0
    assert synced.model("d").lifecycle is Lifecycle.MISSING


def test_what_an_admin_says_of_availability_survives_leaving_and_returning(
    db: Database, synced: Synced
) -> None:
    synced.run()
    synced.catalog.update(PLATFORM, "or/d", {"available": False})
    synced.lists("a", "b", "c")
    synced.run()
    age(db, 48)
    LifecycleJob(db).turn()
    synced.lists("a", "b", "c", "d")
    synced.run()
    returned = synced.model("d")
    assert (returned.lifecycle, returned.available) == (Lifecycle.ACTIVE, False)
    assert returned.provenance["available"] == "ADMIN"


def test_one_server_at_a_time_does_it(db: Database, synced: Synced) -> None:
    synced.run()
    synced.lists("a", "b", "c")
    synced.run()
    with db.system() as tx:
        tx.execute("select pg_advisory_xact_lock(hashtextextended('imrs.job.lifecycle', 11))")
        assert LifecycleJob(db, missing_grace=timedelta(0)).turn() == 0


@pytest.mark.parametrize("period_seconds", [0.05])
def test_it_runs_by_itself(db: Database, synced: Synced, period_seconds: float) -> None:
    synced.run()
    synced.lists("a", "b", "c")
    synced.run()
    job = LifecycleJob(db, missing_grace=timedelta(0), period_seconds=period_seconds)
    job.start()
    try:
        eventually(lambda: synced.model("d").lifecycle is Lifecycle.RETIRED)
    finally:
        job.stop()
