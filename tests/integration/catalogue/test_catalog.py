"""The catalogue as admins read and edit it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest

from imrs_server.domain.errors import (
    EtagMismatch,
    InvalidRequest,
    ModelExists,
    ModelNotFound,
    ProviderNotFound,
    RoleRequired,
)
from imrs_server.domain.listing import PageRequest
from imrs_server.domain.model import BulkUpdate, CostTier, Model, ModelFilter, ModelType, PriceState
from imrs_server.domain.parameters import Parameters
from imrs_server.domain.provider import etag
from imrs_server.storage import changes
from tests.support.principals import ADMIN, PLATFORM, USER

if TYPE_CHECKING:
    from imrs_server.domain.provider import Provider
    from imrs_server.storage.database import Database
    from imrs_server.use_cases.catalog import Catalog

Add = Callable[..., Model]


@pytest.fixture
def provider(add_provider: Callable[..., Provider]) -> Provider:
    return add_provider("p", "http://127.0.0.1:9/v1", key=False)


@pytest.fixture
def add(catalog: Catalog, provider: Provider) -> Add:
    def create(external_id: str, **fields: Any) -> Model:
        return catalog.create(PLATFORM, provider.provider_id, external_id, fields).value

    return create


def ids(catalog: Catalog, **filters: Any) -> list[str]:
    page = catalog.list(PLATFORM, PageRequest(), ModelFilter(**filters))
    assert page.total_size == len(page.items)
    return [model.external_id for model in page.items]


def revision(db: Database) -> int:
    with db.transaction() as tx:
        return changes.current(tx).rev


def audited(db: Database) -> list[tuple[str, str]]:
    with db.system() as tx:
        rows = tx.execute(
            "select method, target_id from audit_events where target_type = 'model' order by create_time"
        )
        return [(row["method"], row["target_id"]) for row in rows]


def test_a_created_model_is_read_back_with_everything_that_was_said(catalog: Catalog, add: Add) -> None:
    created = add(
        "my model:v1",
        display_name="Mine",
        model_type=ModelType.EMBEDDING,
        capabilities=("text", "code"),
        domains=("law",),
        priority=70,
        context_length=32_000,
        input_price_usd=Decimal("0.15"),
        output_price_usd=Decimal("0.60"),
        parameters=Parameters(temperature=0.5, stop=(), extra={"k": 1}),
        metadata={"note": "by hand"},
    )
    assert created == catalog.get(ADMIN, "p/my model:v1")
    assert created.price_state is PriceState.PRICE_KNOWN
    assert created.cost_tier is CostTier.LOW
    assert created.parameters.stop == ()
    assert created.provenance["capabilities"] == "ADMIN"
    assert created.synced_time is None


def test_a_model_with_nothing_said_has_the_defaults(add: Add) -> None:
    created = add("bare")
    assert (created.display_name, created.priority, created.available) == ("bare", 50, True)
    assert (created.model_type, created.cost_tier) == (ModelType.CHAT, CostTier.STANDARD)
    assert created.provenance == {}


def test_a_taken_id_is_refused_even_when_its_model_was_deleted(catalog: Catalog, add: Add) -> None:
    add("m")
    with pytest.raises(ModelExists):
        add("m")
    catalog.delete(PLATFORM, "p/m")
    with pytest.raises(ModelExists):
        add("m")


def test_models_need_a_provider_that_is_there_and_an_id_that_fits(catalog: Catalog, add: Add) -> None:
    with pytest.raises(ProviderNotFound):
        catalog.create(PLATFORM, "nobody", "m", {})
    with pytest.raises(InvalidRequest):
        add("m" * 254)


def test_an_update_changes_what_it_names_and_tells_every_server(
    catalog: Catalog, add: Add, db: Database
) -> None:
    before = add("m", priority=10, display_name="M")
    written = catalog.update(PLATFORM, "p/m", {"priority": 90}, etag=etag(before.version))
    assert (written.value.priority, written.value.display_name) == (90, "M")
    assert written.value.version == before.version + 1
    assert written.revision == revision(db)
    with db.system() as tx:
        changed = changes.since(tx, written.revision - 1)
    assert [(change.kind, change.key) for _, change in changed] == [("model", "p/m")]
    assert audited(db) == [("CreateModel", "p/m"), ("UpdateModel", "p/m")]


def test_an_update_that_fails_leaves_nothing(catalog: Catalog, add: Add, db: Database) -> None:
    before = add("m")
    start = revision(db)
    with pytest.raises(EtagMismatch):
        catalog.update(PLATFORM, "p/m", {"priority": 1}, etag="ff")
    with pytest.raises(InvalidRequest, match="lifecycle"):
        catalog.update(PLATFORM, "p/m", {"lifecycle": "RETIRED"})
    with pytest.raises(InvalidRequest, match="output_price_usd"):
        catalog.update(PLATFORM, "p/m", {"input_price_usd": Decimal(1)})
    with pytest.raises(ModelNotFound):
        catalog.update(PLATFORM, "p/none", {"priority": 1})
    assert catalog.get(PLATFORM, "p/m") == before
    assert revision(db) == start


def test_a_deleted_model_leaves_lists_and_comes_back_as_it_was(catalog: Catalog, add: Add) -> None:
    add("m", priority=77)
    add("n")
    deleted = catalog.delete(PLATFORM, "p/m")
    assert deleted.value.delete_time is not None
    assert catalog.delete(PLATFORM, "p/m").revision == deleted.revision
    assert ids(catalog) == ["n"]
    shown = catalog.list(PLATFORM, PageRequest(), ModelFilter(), show_deleted=True)
    assert [model.external_id for model in shown.items] == ["m", "n"]
    with pytest.raises(ModelNotFound):
        catalog.update(PLATFORM, "p/m", {"priority": 1})
    back = catalog.undelete(PLATFORM, "p/m").value
    assert (back.delete_time, back.priority) == (None, 77)
    assert ids(catalog) == ["m", "n"]


def test_filters_ask_for_all_that_they_name(catalog: Catalog, add: Add) -> None:
    add("free", price_state=PriceState.PRICE_FREE, capabilities=("text", "vision"), context_length=8_000)
    add(
        "law",
        capabilities=("text",),
        domains=("law", "tax"),
        input_price_usd=Decimal(2),
        output_price_usd=Decimal(2),
    )
    add("100%_off", display_name="Big VISION", context_length=200_000, available=False)
    add("vectors", model_type=ModelType.EMBEDDING)
    assert ids(catalog, cost_tier=CostTier.FREE) == ["free"]
    assert ids(catalog, capabilities=("vision", "text")) == ["free"]
    assert ids(catalog, domains=("tax",)) == ["law"]
    assert ids(catalog, model_type=ModelType.EMBEDDING) == ["vectors"]
    assert ids(catalog, available=False) == ["100%_off"]
    assert ids(catalog, search="vision") == ["100%_off"]
    assert ids(catalog, search="%_O") == ["100%_off"]
    assert ids(catalog, search="P/LA") == ["law"]
    assert ids(catalog, min_context_length=8_001) == ["100%_off"]
    assert ids(catalog, max_input_price_usd=Decimal(1)) == ["free"]
    assert ids(catalog, provider_id="q") == []
    assert ids(catalog, provider_id="p", capabilities=("text",), available=True) == ["free", "law"]


@pytest.mark.parametrize(
    "order",
    ["", "display_name desc", "priority", "context_length desc", "input_price_usd", "input_price_usd desc"],
)
def test_pages_join_to_the_whole_list_in_every_order(catalog: Catalog, add: Add, order: str) -> None:
    for number in range(7):
        known = {"input_price_usd": Decimal(number), "output_price_usd": Decimal(1)} if number % 2 else {}
        add(f"m{number}", priority=number % 3, context_length=number % 2 or None, **known)
    whole = catalog.list(PLATFORM, PageRequest(size=100, order_by=order), ModelFilter()).items
    request, seen = PageRequest(size=2, order_by=order), list[Model]()
    while True:
        page = catalog.list(PLATFORM, request, ModelFilter())
        seen += page.items
        if page.after is None:
            break
        request = replace(request, after=page.after)
    assert seen == whole
    assert len(seen) == 7
    if order == "input_price_usd":
        assert [model.input_price_usd for model in whole[:3]] == [Decimal(1), Decimal(3), Decimal(5)]


def test_a_page_of_large_models_ends_early(catalog: Catalog, add: Add) -> None:
    for number in range(3):
        add(f"m{number}", metadata={"text": "x" * 1_100_000})
    page = catalog.list(PLATFORM, PageRequest(size=3), ModelFilter())
    assert (len(page.items), page.total_size) == (1, 3)
    assert page.after is not None


def test_a_bulk_update_changes_what_matches_and_says_how_many(
    catalog: Catalog, add: Add, db: Database
) -> None:
    add("a", price_state=PriceState.PRICE_FREE)
    add("b", price_state=PriceState.PRICE_FREE, available=False)
    add("c")
    free = ModelFilter(cost_tier=CostTier.FREE)
    start = revision(db)
    previewed = catalog.bulk_update(PLATFORM, free, BulkUpdate(available=False), validate_only=True)
    assert (previewed.value.matched_count, previewed.value.updated_count) == (2, 1)
    assert revision(db) == start
    written = catalog.bulk_update(PLATFORM, free, BulkUpdate(available=False))
    assert (written.value.matched_count, written.value.updated_count) == (2, 1)
    assert written.revision == revision(db) == start + 1
    assert catalog.get(PLATFORM, "p/a").provenance["available"] == "ADMIN"
    assert ids(catalog, available=False) == ["a", "b"]
    again = catalog.bulk_update(PLATFORM, free, BulkUpdate(available=False))
    assert (again.value.updated_count, again.revision) == (0, written.revision)
    assert audited(db)[-1] == ("BulkUpdateModels", "*")
    with pytest.raises(InvalidRequest):
        catalog.bulk_update(PLATFORM, free, BulkUpdate())


def test_only_platform_admins_write_and_only_admins_read(catalog: Catalog, add: Add) -> None:
    add("m")
    for act in (
        lambda: catalog.create(ADMIN, "p", "n", {}),
        lambda: catalog.update(ADMIN, "p/m", {"priority": 1}),
        lambda: catalog.delete(ADMIN, "p/m"),
        lambda: catalog.undelete(ADMIN, "p/m"),
        lambda: catalog.bulk_update(ADMIN, ModelFilter(), BulkUpdate(priority=1)),
        lambda: catalog.list_changes(ADMIN, PageRequest(), model_id="p/m"),
        lambda: catalog.list(USER, PageRequest(), ModelFilter()),
        lambda: catalog.get(USER, "p/m"),
    ):
        with pytest.raises(RoleRequired):
            act()
