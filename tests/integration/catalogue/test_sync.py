"""What a provider lists becomes the catalogue."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest
from psycopg.types.json import Jsonb

from imrs_client.ids import time_of
from imrs_server.domain.discovery import DiscoveredModel
from imrs_server.domain.errors import (
    CredentialMissing,
    ProviderInvalidResponse,
    ProviderNotFound,
    ProviderUnavailable,
    RoleRequired,
    SyncInProgress,
    SyncSuspicious,
)
from imrs_server.domain.listing import PageRequest
from imrs_server.domain.model import CostTier, Lifecycle, ModelFilter, PriceState, Provenance
from imrs_server.domain.sync import Action, Stage, SyncResult
from imrs_server.storage import changes
from tests.support import schema
from tests.support.catalogue import openai_body, openai_items, openrouter_body, openrouter_items
from tests.support.principals import ADMIN, PLATFORM
from tests.support.provider import FakeProvider, answer, fail

if TYPE_CHECKING:
    from imrs_server.domain.model import Model
    from imrs_server.domain.provider import Provider
    from imrs_server.domain.sync import ModelChange, SyncProgress
    from imrs_server.storage.database import Database
    from imrs_server.use_cases.catalog import Catalog
    from imrs_server.use_cases.sync import Sync

List = Callable[..., None]
Run = Callable[..., SyncResult]


def item(external_id: str, **changes: Any) -> dict[str, Any]:
    """A model in OpenRouter's list."""
    return {
        "id": external_id,
        "name": external_id.title(),
        "context_length": 8192,
        "architecture": {"input_modalities": ["text"], "output_modalities": ["text"]},
        "pricing": {"prompt": "0.000001", "completion": "0.000002"},
        "top_provider": {"max_completion_tokens": 1024},
        "supported_parameters": ["tools"],
        **changes,
    }


@pytest.fixture(autouse=True)
def provider(add_provider: Callable[..., Provider], upstream: FakeProvider) -> Provider:
    return add_provider("or", upstream.url)


@pytest.fixture
def listing(upstream: FakeProvider) -> List:
    """Say what the provider lists from now on: names, or whole items."""

    def put(*items: str | dict[str, Any]) -> None:
        whole = [item(each) if isinstance(each, str) else each for each in items]
        upstream.body = openrouter_body(whole)

    put("a", "b", "c", "d")
    return put


@pytest.fixture
def run(sync: Sync) -> Run:
    def finish(**options: bool) -> SyncResult:
        *_, last = sync.run(PLATFORM, "or", **options)
        assert last.stage is Stage.DONE
        assert last.result is not None
        return last.result

    return finish


def counts(result: SyncResult) -> tuple[int, int, int, int, int]:
    assert result.models_discovered == (
        result.models_added + result.models_updated + result.models_unchanged + result.models_invalid
    )
    return (
        result.models_added,
        result.models_updated,
        result.models_unchanged,
        result.models_missing,
        result.models_invalid,
    )


def model(catalog: Catalog, name: str) -> Model:
    return catalog.get(PLATFORM, f"or/{name}")


def history(catalog: Catalog, name: str) -> list[ModelChange]:
    return catalog.list_changes(PLATFORM, PageRequest(), model_id=f"or/{name}").items


def row_versions(db: Database) -> list[tuple[str, str]]:
    with db.system() as tx:
        rows = tx.execute("select model_id, xmin::text as written_by from models order by model_id")
        return [(row["model_id"], row["written_by"]) for row in rows]


def sync_state(db: Database) -> tuple[datetime | None, str]:
    with db.system() as tx:
        row = tx.execute("select last_synced_time, last_sync_error from providers").fetchone()
        assert row is not None
        return row["last_synced_time"], row["last_sync_error"]


def revision(db: Database) -> int:
    with db.transaction() as tx:
        return changes.current(tx).rev


def test_listed_models_are_added_with_what_the_list_says(
    catalog: Catalog, db: Database, listing: List, run: Run, upstream: FakeProvider
) -> None:
    listing(item("lab/big one:free", context_length=200_000, pricing={"prompt": "0", "completion": "0"}), "b")
    result = run()
    assert counts(result) == (2, 0, 0, 0, 0)
    added = model(catalog, "lab/big one:free")
    assert (added.display_name, added.context_length) == ("Lab/Big One:Free", 200_000)
    assert (added.price_state, added.cost_tier) == (PriceState.PRICE_FREE, CostTier.FREE)
    assert "long_context" in added.capabilities
    assert added.provenance["context_length"] == "PROVIDER"
    assert added.metadata["supported_parameters"] == ["tools"]
    assert (added.priority, added.available, added.lifecycle) == (50, True, Lifecycle.ACTIVE)
    assert added.synced_time == result.synced_time == sync_state(db)[0]
    assert model(catalog, "b").input_price_usd == Decimal(1)
    assert upstream.requests[-1].headers["authorization"] == "Bearer sk-test"


def test_steps_tell_how_far_it_is(sync: Sync, upstream: FakeProvider) -> None:
    upstream.body = openrouter_body(openrouter_items()[:1200])
    steps = list(sync.run(PLATFORM, "or"))
    assert [step.stage for step in steps if step.stage is not Stage.FETCHING] == [
        Stage.COMPARING,
        Stage.WRITING,
        Stage.DONE,
    ]
    assert [step.models_discovered for step in steps] == sorted(step.models_discovered for step in steps)
    assert [step.models_discovered for step in steps[:3]] == [0, 500, 1000]
    assert steps[-1].models_processed == 1200
    assert all(step.result is None for step in steps[:-1])


def test_one_sync_is_one_revision_one_audit_event_and_a_history(
    catalog: Catalog, db: Database, listing: List, sync: Sync
) -> None:
    before = revision(db)
    last: SyncProgress = list(sync.run(PLATFORM, "or"))[-1]
    assert last.revision == revision(db) == before + 1
    with db.system() as tx:
        told = {(change.kind, change.key) for _, change in changes.since(tx, before)}
        audits = tx.execute("select actor, target_id, after from audit_events where method = 'SyncProvider'")
        (audit,) = audits.fetchall()
    assert told == {("model", f"or/{name}") for name in "abcd"}
    assert (audit["actor"], audit["target_id"], audit["after"]["models_added"]) == ("root", "or", 4)
    (change,) = history(catalog, "a")
    assert (change.action, change.before) == (Action.ADDED, {})
    assert change.after["context_length"] == 8192
    assert change.change_id is not None
    assert change.change_id.version == 7
    assert abs(datetime.now(UTC) - id_time(change)) < timedelta(minutes=1)


def id_time(change: ModelChange) -> datetime:
    assert change.change_id is not None
    found = time_of(change.change_id)
    assert found is not None
    return found


def test_a_second_sync_with_nothing_changed_writes_no_model(
    catalog: Catalog, db: Database, listing: List, run: Run
) -> None:
    run()
    written, known = row_versions(db), revision(db)
    again = run()
    assert counts(again) == (0, 0, 4, 0, 0)
    assert row_versions(db) == written
    assert revision(db) == known
    assert len(history(catalog, "a")) == 1
    assert model(catalog, "a").synced_time == again.synced_time == sync_state(db)[0]


def test_only_what_differs_is_written_and_remembered(
    catalog: Catalog, db: Database, listing: List, run: Run
) -> None:
    run()
    written = dict(row_versions(db))
    listing("a", item("b", context_length=16_384), "c", "d")
    assert counts(run()) == (0, 1, 3, 0, 0)
    changed = [name for name, by in row_versions(db) if written[name] != by]
    assert changed == ["or/b"]
    change = history(catalog, "b")[0]
    assert change.action is Action.UPDATED
    assert (change.before["context_length"], change.after["context_length"]) == (8192, 16_384)
    assert change.before.keys() == {"context_length", "metadata"}
    assert model(catalog, "b").version == 2


def test_an_admins_word_stands_against_the_list(catalog: Catalog, listing: List, run: Run) -> None:
    run()
    catalog.update(PLATFORM, "or/a", {"context_length": 1000, "priority": 90, "available": False})
    listing(item("a", context_length=99_999, name="New"), "b", "c", "d")
    assert counts(run()) == (0, 1, 3, 0, 0)
    kept = model(catalog, "a")
    assert (kept.context_length, kept.priority, kept.available) == (1000, 90, False)
    assert kept.display_name == "New"
    assert kept.provenance["context_length"] == kept.provenance["priority"] == "ADMIN"
    assert counts(run()) == (0, 0, 4, 0, 0)


def test_an_admins_price_stays_whole(catalog: Catalog, listing: List, run: Run) -> None:
    run()
    catalog.update(PLATFORM, "or/a", {"price_state": PriceState.PRICE_FREE})
    listing(item("a", pricing={"prompt": "0.1", "completion": "0.1"}), "b", "c", "d")
    run()
    kept = model(catalog, "a")
    assert (kept.price_state, kept.input_price_usd, kept.cost_tier) == (
        PriceState.PRICE_FREE,
        Decimal(0),
        CostTier.FREE,
    )


def test_curated_values_stand_where_the_list_has_nothing_to_say(
    catalog: Catalog, db: Database, listing: List, run: Run
) -> None:
    listing(item("a", context_length=None, top_provider={}), "b")
    run()
    with db.system() as tx:
        tx.execute(
            "update models set context_length = 5000, display_name = 'Curated', provenance = provenance || %s"
            " where model_id = 'or/a'",
            [Jsonb({"context_length": "CURATED", "display_name": "CURATED"})],
        )
    run()
    kept = model(catalog, "a")
    assert (kept.context_length, kept.provenance["context_length"]) == (5000, "CURATED")
    assert (kept.display_name, kept.provenance["display_name"]) == ("A", "PROVIDER")


def test_a_deleted_model_stays_deleted_and_untouched(
    catalog: Catalog, db: Database, listing: List, run: Run
) -> None:
    run()
    catalog.delete(PLATFORM, "or/a")
    written = row_versions(db)
    listing(item("a", context_length=1), "b", "c", "d")
    assert counts(run()) == (0, 0, 4, 0, 0)
    listing("b", "c", "d")
    assert counts(run()) == (0, 0, 3, 0, 0)
    assert row_versions(db) == written
    assert model(catalog, "a").delete_time is not None


def test_an_absent_model_is_missing_then_returns(catalog: Catalog, listing: List, run: Run) -> None:
    first = run()
    listing("a", "b", "c")
    assert counts(run()) == (0, 0, 3, 1, 0)
    missing = model(catalog, "d")
    assert (missing.lifecycle, missing.synced_time) == (Lifecycle.MISSING, first.synced_time)
    assert counts(run()) == (0, 0, 3, 1, 0)
    listing("a", "b", "c", "d")
    returned = run()
    assert counts(returned) == (0, 1, 3, 0, 0)
    assert model(catalog, "d").lifecycle is Lifecycle.ACTIVE
    assert model(catalog, "d").synced_time == returned.synced_time
    assert [each.action for each in history(catalog, "d")] == [Action.RETURNED, Action.MISSING, Action.ADDED]
    assert history(catalog, "d")[1].after == {"lifecycle": "MISSING"}


def test_a_model_that_is_missing_for_longer_than_the_grace_is_retired(
    catalog: Catalog, db: Database, listing: List, run: Run
) -> None:
    run()
    listing("a", "b", "c")
    run()
    with db.system() as tx:
        tx.execute("update models set missing_since = missing_since - interval '25 hours'")
    assert counts(run()) == (0, 0, 3, 1, 0)
    assert model(catalog, "d").lifecycle is Lifecycle.RETIRED
    assert counts(run()) == (0, 0, 3, 0, 0)
    listing("a", "b", "c", "d")
    run()
    assert history(catalog, "d")[0].action is Action.RETURNED


def test_an_announced_end_makes_a_model_retiring(catalog: Catalog, listing: List, run: Run) -> None:
    run()
    soon = (datetime.now(UTC) + timedelta(days=3)).date().isoformat()
    listing(item("a", expiration_date=soon), item("b", expiration_date="2020-01-01"), "c", "d")
    run()
    assert model(catalog, "a").lifecycle is Lifecycle.RETIRING
    assert model(catalog, "b").lifecycle is Lifecycle.RETIRED
    assert history(catalog, "a")[0].action is Action.RETIRING
    assert counts(run()) == (0, 0, 4, 0, 0)


def test_a_list_that_drops_more_than_half_is_held_back_unless_forced(
    catalog: Catalog, db: Database, listing: List, run: Run
) -> None:
    synced = run().synced_time
    listing("a")
    written = row_versions(db)
    with pytest.raises(SyncSuspicious) as raised:
        run()
    assert (raised.value.metadata["missing"], raised.value.metadata["known"]) == ("3", "4")
    assert row_versions(db) == written
    assert sync_state(db) == (synced, "SYNC_SUSPICIOUS")
    assert counts(run(force=True)) == (0, 0, 1, 3, 0)
    assert sync_state(db)[1] == ""
    assert model(catalog, "b").lifecycle is Lifecycle.MISSING


def test_half_of_the_models_may_go(listing: List, run: Run) -> None:
    run()
    listing("a", "b")
    assert counts(run()) == (0, 0, 2, 2, 0)


def test_models_made_by_hand_are_never_missed_and_taken_over_when_listed(
    catalog: Catalog, listing: List, run: Run
) -> None:
    catalog.create(PLATFORM, "or", "own", {"priority": 90})
    catalog.create(PLATFORM, "or", "a", {"context_length": 1})
    assert counts(run()) == (3, 1, 0, 0, 0)
    assert model(catalog, "own").lifecycle is Lifecycle.ACTIVE
    assert model(catalog, "own").synced_time is None
    taken = model(catalog, "a")
    assert (taken.context_length, taken.max_output_tokens) == (1, 1024)
    assert taken.synced_time is not None
    assert counts(run()) == (0, 0, 4, 0, 0)


def test_items_that_are_no_model_are_counted_and_skipped(catalog: Catalog, listing: List, run: Run) -> None:
    listing("a", item("a"), {"name": "nameless"}, item("nul\x00"), item("x" * 300), {"id": 7}, "b")
    assert counts(run()) == (2, 0, 0, 0, 5)
    assert catalog.list(PLATFORM, PageRequest(), ModelFilter()).total_size == 2


def test_awkward_text_survives(catalog: Catalog, listing: List, run: Run) -> None:
    text = 'back\\slash \\N \\. tab\t line\n quote" café 日本 \U0001f600'
    listing(item("a\\b", name="N\\N", description=text))
    run()
    stored = model(catalog, "a\\b")
    assert stored.display_name == "N\\N"
    assert stored.metadata["description"] == text
    assert counts(run()) == (0, 0, 1, 0, 0)


def test_an_item_beyond_the_promised_size_is_kept_without_its_metadata(
    catalog: Catalog, listing: List, run: Run
) -> None:
    listing(item("a", description="x" * 70_000))
    run()
    assert model(catalog, "a").metadata == {}


def test_a_preview_shows_the_changes_and_writes_nothing(
    catalog: Catalog, db: Database, listing: List, run: Run
) -> None:
    run()
    before = (row_versions(db), revision(db), sync_state(db))
    listing("a", item("b", context_length=1), "c", "e")
    result = run(validate_only=True)
    assert counts(result) == (1, 1, 2, 1, 0)
    assert result.synced_time is None
    shown = {change.model_id: change for change in result.changes}
    assert {name: change.action for name, change in shown.items()} == {
        "or/b": Action.UPDATED,
        "or/d": Action.MISSING,
        "or/e": Action.ADDED,
    }
    assert shown["or/b"].after["context_length"] == 1
    assert (row_versions(db), revision(db), sync_state(db)) == before
    listing("a")
    with pytest.raises(SyncSuspicious):
        run(validate_only=True)
    assert sync_state(db) == before[2]


@pytest.mark.parametrize(
    ("behaviour", "error"),
    [
        pytest.param(fail(503), ProviderUnavailable, id="failing"),
        pytest.param(answer(b"<html>"), ProviderInvalidResponse, id="no list"),
        pytest.param(answer(openrouter_body([item("a")])[:-30]), ProviderInvalidResponse, id="cut off"),
    ],
)
def test_a_failed_sync_leaves_the_last_known_models(
    db: Database, listing: List, run: Run, upstream: FakeProvider, behaviour: Any, error: type[Exception]
) -> None:
    synced = run().synced_time
    written = row_versions(db)
    upstream.script(behaviour)
    with pytest.raises(error):
        run()
    assert row_versions(db) == written
    assert sync_state(db) == (synced, error.reason)  # type: ignore[attr-defined]
    run()
    assert sync_state(db)[1] == ""


def test_a_provider_that_needs_a_key_and_has_none_is_not_called(
    sync: Sync, add_provider: Callable[..., Provider], upstream: FakeProvider
) -> None:
    add_provider("keyless", upstream.url, key=False)
    with pytest.raises(CredentialMissing):
        list(sync.run(PLATFORM, "keyless"))
    assert upstream.requests == []


def test_a_provider_without_keys_needs_no_vault(
    sync: Sync, add_provider: Callable[..., Provider], upstream: FakeProvider
) -> None:
    add_provider("local", upstream.url, dialect="vllm", key=False)
    upstream.body = openai_body()
    *_, last = sync.run(PLATFORM, "local")
    assert last.result is not None
    assert last.result.models_added == len(openai_items())
    assert "authorization" not in upstream.requests[-1].headers


def test_two_syncs_of_one_provider_do_not_run_at_once(
    sync: Sync, add_provider: Callable[..., Provider], listing: List, upstream: FakeProvider
) -> None:
    add_provider("other", upstream.url)
    running = sync.run(PLATFORM, "or")
    next(running)
    with pytest.raises(SyncInProgress):
        next(sync.run(PLATFORM, "or"))
    assert list(sync.run(PLATFORM, "other"))[-1].stage is Stage.DONE
    running.close()
    assert list(sync.run(PLATFORM, "or"))[-1].stage is Stage.DONE


def test_an_edit_during_a_sync_is_not_lost(catalog: Catalog, listing: List, run: Run, sync: Sync) -> None:
    run()
    listing(*(item(name, context_length=5) for name in "abcd"))
    running = sync.run(PLATFORM, "or")
    while next(running).stage is not Stage.WRITING:
        pass
    catalog.update(PLATFORM, "or/a", {"context_length": 7})
    start = threading.Barrier(2)

    def edit() -> None:
        start.wait()
        catalog.update(PLATFORM, "or/b", {"context_length": 7})

    thread = threading.Thread(target=edit)
    thread.start()
    start.wait()
    list(running)
    thread.join()
    assert [model(catalog, name).context_length for name in "abc"] == [7, 7, 5]


def test_unknown_and_deleted_providers_are_not_found(sync: Sync, db: Database, listing: List) -> None:
    with pytest.raises(ProviderNotFound):
        next(sync.run(PLATFORM, "nobody"))
    with db.system() as tx:
        tx.execute("update providers set state = 'DELETED', delete_time = now()")
    with pytest.raises(ProviderNotFound):
        next(sync.run(PLATFORM, "or"))
    with pytest.raises(RoleRequired):
        next(sync.run(ADMIN, "or"))


def test_new_models_reach_agents_with_a_standing_rule(db: Database, listing: List, run: Run) -> None:
    with db.system() as tx:
        schema.insert(tx, "agents")
        schema.insert(tx, "agent_rules", filter=Jsonb({"min_context_length": 8000}))
    listing("a", item("small", context_length=1000))
    run()
    with db.system() as tx:
        rows = tx.execute("select model_id, source from agent_models").fetchall()
    assert [(row["model_id"], row["source"]) for row in rows] == [("or/a", "RULE")]


def test_a_list_at_hand_is_taken_like_a_providers(
    catalog: Catalog, listing: List, run: Run, sync: Sync
) -> None:
    curated = {"context_length": Provenance.CURATED}
    known = [
        DiscoveredModel(external_id=name, display_name="Curated", context_length=5, provenance=curated)
        for name in ("a", "b")
    ]
    loaded = sync.load(PLATFORM, "or", known).result
    assert loaded is not None
    assert counts(loaded) == (2, 0, 0, 0, 0)
    listing(item("a", context_length=None), item("b"), "c")
    assert counts(run()) == (1, 2, 0, 0, 0)
    assert [model(catalog, name).context_length for name in "abc"] == [5, 8192, 8192]


def test_the_real_catalogue_is_synced_and_written_once(
    catalog: Catalog, db: Database, run: Run, upstream: FakeProvider
) -> None:
    upstream.body = openrouter_body()
    result = run()
    assert result.models_added == result.models_discovered == len(openrouter_items()) > 4_800
    written = row_versions(db)
    assert run().models_unchanged == result.models_added
    assert row_versions(db) == written
    with db.system() as tx:
        told = [(change.kind, change.key) for _, change in changes.since(tx, revision(db) - 1)]
    assert told == [("model", "")]
    page = catalog.list(PLATFORM, PageRequest(size=1000), ModelFilter(capabilities=("vision",)))
    assert page.total_size > 1000
