"""A sync that should not have been is undone."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import TYPE_CHECKING

import pytest

from imrs_server.domain.errors import InvalidRequest, ProviderNotFound, RoleRequired, SyncInProgress
from imrs_server.domain.model import Lifecycle, PriceState
from imrs_server.domain.sync import Action
from imrs_server.storage import changes, exclusive
from imrs_server.use_cases.revert import Reverts
from tests.support.principals import ADMIN, PLATFORM
from tests.support.synced import item

if TYPE_CHECKING:
    from imrs_server.domain.sync import SyncResult
    from imrs_server.domain.written import Written
    from imrs_server.storage.database import Database
    from tests.support.synced import Synced

FREE = {"prompt": "0", "completion": "0"}


@pytest.fixture
def bad(synced: Synced) -> SyncResult:
    """A sync after a good one: one model is new, one has other prices, one is gone."""
    synced.run()
    synced.lists(item("a", pricing=FREE, context_length=16_384), "b", "c", "new")
    return synced.run()


def revert(db: Database, bad: SyncResult) -> Written[SyncResult]:
    assert bad.synced_time is not None
    return Reverts(db).revert(PLATFORM, "or", bad.synced_time)


def test_every_change_of_the_sync_is_taken_back(db: Database, synced: Synced, bad: SyncResult) -> None:
    written = revert(db, bad)
    result = written.value
    assert (result.models_discovered, result.models_updated, result.models_unchanged) == (3, 3, 0)
    a = synced.model("a")
    assert (a.price_state, a.input_price_usd, a.context_length) == (PriceState.PRICE_KNOWN, Decimal(1), 8192)
    assert synced.model("d").lifecycle is Lifecycle.ACTIVE
    assert synced.model("new").lifecycle is Lifecycle.RETIRED
    assert synced.history("a")[0].action is Action.REVERTED
    assert synced.history("a")[0].synced_time == result.synced_time
    with db.system() as tx:
        assert changes.current(tx).rev == written.revision
        row = tx.execute("select actor, target_id from audit_events where method = 'RevertSync'").fetchone()
    assert row == {"actor": "root", "target_id": "or"}


def test_what_was_changed_since_is_left(db: Database, synced: Synced, bad: SyncResult) -> None:
    synced.catalog.update(PLATFORM, "or/a", {"input_price_usd": Decimal(3), "output_price_usd": Decimal(4)})
    revert(db, bad)
    a = synced.model("a")
    assert (a.price_state, a.input_price_usd, a.context_length) == (PriceState.PRICE_KNOWN, Decimal(3), 8192)
    assert a.provenance["input_price_usd"] == "ADMIN"


def test_undoing_twice_changes_nothing_more(db: Database, bad: SyncResult) -> None:
    first = revert(db, bad)
    again = revert(db, bad)
    assert (again.value.models_updated, again.value.models_unchanged) == (0, 3)
    assert again.revision == first.revision


def test_undoing_can_be_undone(db: Database, synced: Synced, bad: SyncResult) -> None:
    a, gone = synced.model("a"), synced.model("d")
    revert(db, revert(db, bad).value)
    assert synced.model("a").price_state is a.price_state
    assert synced.model("a").context_length == a.context_length
    assert synced.model("d").lifecycle is gone.lifecycle
    assert synced.model("new").lifecycle is Lifecycle.ACTIVE


def test_an_older_sync_can_be_undone_too(db: Database, synced: Synced, bad: SyncResult) -> None:
    synced.lists(item("a", pricing=FREE, context_length=32_768), "b", "c", "new")
    synced.run()
    revert(db, bad)
    a = synced.model("a")
    assert (a.input_price_usd, a.context_length) == (Decimal(1), 32_768)


def test_deleted_models_stay_deleted(db: Database, synced: Synced, bad: SyncResult) -> None:
    synced.catalog.delete(PLATFORM, "or/a")
    assert revert(db, bad).value.models_discovered == 2
    assert synced.model("a").delete_time is not None


def test_the_next_sync_takes_the_list_anew(db: Database, synced: Synced, bad: SyncResult) -> None:
    revert(db, bad)
    synced.run()
    assert synced.model("a").price_state is PriceState.PRICE_FREE
    assert synced.model("new").lifecycle is Lifecycle.ACTIVE


def test_what_cannot_be_undone_says_why(db: Database, bad: SyncResult) -> None:
    assert bad.synced_time is not None
    reverts = Reverts(db)
    with pytest.raises(InvalidRequest, match="synced_time"):
        reverts.revert(PLATFORM, "or", datetime(2020, 1, 1, tzinfo=UTC))
    with pytest.raises(ProviderNotFound):
        reverts.revert(PLATFORM, "nobody", bad.synced_time)
    with pytest.raises(RoleRequired):
        reverts.revert(ADMIN, "or", bad.synced_time)
    with exclusive.held(db, "imrs.sync.or"), pytest.raises(SyncInProgress):
        reverts.revert(PLATFORM, "or", bad.synced_time)
