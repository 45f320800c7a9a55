"""A page of models is one range of one index, whatever its order: no list sorts or reads the whole table."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import psycopg
import pytest
from psycopg.rows import dict_row

from imrs_server.domain.listing import PageRequest
from imrs_server.domain.model import CostTier, ModelFilter, ModelType
from imrs_server.storage import listing, models
from imrs_server.storage.database import conninfo

if TYPE_CHECKING:
    from collections.abc import Iterator

    from imrs_server.domain.listing import Page
    from imrs_server.domain.model import Model

COUNT = 2_000
FILL = """
insert into models (
    model_id, provider_id, external_id, display_name, cost_tier, context_length, input_price_usd,
    output_price_usd, price_state, priority, capabilities
)
select 'p/model-' || i, 'p', 'model-' || i, 'Model ' || md5(i::text),
    (array['LOW', 'PREMIUM'])[mod(i, 2) + 1], nullif(mod(i, 7), 0) * 1000, mod(i, 100), mod(i, 100),
    'PRICE_KNOWN', mod(i, 101), '["text"]'
from generate_series(%(first)s::int, %(last)s::int) as i
"""


class Explaining(psycopg.Connection[dict[str, Any]]):
    """Notes the plan of every page that is read."""

    plans: list[str]

    def execute(self, query: Any, params: Any = None, **options: Any) -> Any:
        if isinstance(query, str) and "limit %(limit)s" in query:
            plan = super().execute(f"explain (format json) {query}", params).fetchone()
            assert plan is not None
            self.plans.append(json.dumps(plan["QUERY PLAN"]))
        return super().execute(query, params, **options)


@pytest.fixture
def tx(database: str) -> Iterator[Explaining]:
    """Two thousand models, and a planner that thinks of tables that do not fit into memory."""
    with Explaining.connect(conninfo(database), row_factory=dict_row) as found:
        found.plans = []
        found.execute(
            "insert into providers (provider_id, provider_type, dialect, api_base)"
            " values ('p', 'CUSTOM', 'openai', 'https://example.org')"
        )
        found.execute(FILL, {"first": 1, "last": COUNT})
        found.execute("analyze models")
        found.execute("set local enable_seqscan = off")
        yield found


def page(tx: Explaining, filter: ModelFilter, **wanted: Any) -> Page[Model]:
    return models.list_page(tx, PageRequest(**wanted), filter, show_deleted=False)


@pytest.mark.parametrize("direction", ["", " desc"])
@pytest.mark.parametrize("order", models._LISTING.orders)
def test_every_order_has_its_index(tx: Explaining, order: str, direction: str) -> None:
    first = page(tx, ModelFilter(), order_by=order + direction)
    page(tx, ModelFilter(), order_by=order + direction, after=first.after)
    for plan in tx.plans:
        assert "Index Scan" in plan
        # Ties may be sorted within a run of equal values, never the whole.
        assert '"Sort"' not in plan


@pytest.mark.parametrize(
    ("filter", "index"),
    [
        (ModelFilter(provider_id="p"), "models_provider_idx"),
        (ModelFilter(cost_tier=CostTier.LOW), "models_cost_tier_idx"),
        (ModelFilter(model_type=ModelType.CHAT), "models_model_type_idx"),
        (ModelFilter(available=True), "models_available_idx"),
    ],
)
def test_a_filter_and_the_default_order_share_an_index(
    tx: Explaining, filter: ModelFilter, index: str
) -> None:
    # Alone in the way would be the primary key, which is as good as long as everything passes the filter.
    tx.execute("alter table models drop constraint models_pkey cascade")
    page(tx, filter)
    assert index in tx.plans[-1]
    assert '"Sort"' not in tx.plans[-1]


def test_a_part_of_a_name_is_found_by_index(tx: Explaining) -> None:
    if not tx.execute("select 1 as found from pg_extension where extname = 'pg_trgm'").fetchone():
        pytest.skip("this PostgreSQL has no pg_trgm")
    # A few are read faster by any other way.
    tx.execute(FILL, {"first": COUNT + 1, "last": 20 * COUNT})
    tx.execute("analyze models")
    found = page(tx, ModelFilter(search="MODEL-31234"))
    assert [each.model_id for each in found.items] == ["p/model-31234"]
    assert "models_search_idx" in tx.plans[-1]


def test_wildcards_in_a_search_are_letters(tx: Explaining) -> None:
    assert page(tx, ModelFilter(search="model-12%4")).items == []
    assert page(tx, ModelFilter(search="model_1234")).items == []


def test_totals_are_exact_until_counting_takes_long(tx: Explaining, monkeypatch: pytest.MonkeyPatch) -> None:
    assert page(tx, ModelFilter(cost_tier=CostTier.LOW)).total_size == COUNT // 2
    monkeypatch.setattr(listing, "_COUNTED_COST", 0.0)
    assert page(tx, ModelFilter(cost_tier=CostTier.LOW)).total_size == pytest.approx(COUNT // 2, rel=0.1)
    # What fits on the first page needs no counting.
    assert page(tx, ModelFilter(search="model-1234")).total_size == 1
