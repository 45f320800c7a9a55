"""What an admin sets is his, and what follows from it follows at once."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from imrs_server.domain.curation import edited
from imrs_server.domain.errors import InvalidRequest
from imrs_server.domain.model import CostTier, Lifecycle, Model, PriceState

NOW = datetime(2026, 11, 21, tzinfo=UTC)
BLANK = Model(model_id="p/m", provider_id="p", external_id="m", display_name="m")
PRICED = replace(
    BLANK,
    price_state=PriceState.PRICE_KNOWN,
    input_price_usd=Decimal(1),
    output_price_usd=Decimal(2),
    cost_tier=CostTier.STANDARD,
    provenance={"price_state": "PROVIDER", "input_price_usd": "PROVIDER", "output_price_usd": "PROVIDER"},
)


def test_named_fields_become_the_admins_and_others_keep_their_source() -> None:
    model = edited(PRICED, {"priority": 80, "display_name": "M"}, NOW)
    assert (model.priority, model.display_name) == (80, "M")
    assert model.provenance == PRICED.provenance | {"priority": "ADMIN", "display_name": "ADMIN"}


def test_unset_fields_fall_back_to_their_defaults() -> None:
    changed = edited(PRICED, {"priority": 80, "available": False, "display_name": "M"}, NOW)
    model = edited(changed, {"priority": None, "available": None, "display_name": ""}, NOW)
    assert (model.priority, model.available, model.display_name) == (50, True, "m")


def test_zero_is_a_priority_and_false_an_availability() -> None:
    model = edited(BLANK, {"priority": 0, "available": False}, NOW)
    assert (model.priority, model.available) == (0, False)


def test_prices_decide_on_their_state_and_on_the_tier() -> None:
    model = edited(BLANK, {"input_price_usd": Decimal("0.1"), "output_price_usd": Decimal("0.4")}, NOW)
    assert (model.price_state, model.cost_tier) == (PriceState.PRICE_KNOWN, CostTier.LOW)
    assert {"price_state", "input_price_usd", "output_price_usd", "cached_input_price_usd", "cost_tier"} == {
        name for name, source in model.provenance.items() if source == "ADMIN"
    }
    dearer = edited(model, {"output_price_usd": Decimal(90)}, NOW)
    assert dearer.cost_tier is CostTier.PREMIUM


def test_a_tier_that_an_admin_chose_outlives_a_new_price() -> None:
    chosen = edited(PRICED, {"cost_tier": CostTier.PREMIUM}, NOW)
    assert edited(chosen, {"input_price_usd": Decimal(0)}, NOW).cost_tier is CostTier.PREMIUM


def test_an_unset_tier_goes_back_to_following_the_price() -> None:
    chosen = edited(PRICED, {"cost_tier": CostTier.PREMIUM}, NOW)
    model = edited(chosen, {"cost_tier": None}, NOW)
    assert model.cost_tier is CostTier.STANDARD
    assert "cost_tier" not in model.provenance


def test_two_zero_prices_are_free_and_free_needs_no_numbers() -> None:
    zeros = {"input_price_usd": Decimal(0), "output_price_usd": Decimal(0)}
    by_numbers = edited(BLANK, zeros, NOW)
    by_state = edited(BLANK, {"price_state": PriceState.PRICE_FREE}, NOW)
    for model in (by_numbers, by_state):
        assert (model.price_state, model.cost_tier) == (PriceState.PRICE_FREE, CostTier.FREE)
        assert (model.input_price_usd, model.output_price_usd) == (Decimal(0), Decimal(0))


def test_an_unknown_price_has_no_numbers() -> None:
    model = edited(PRICED, {"price_state": PriceState.PRICE_UNKNOWN}, NOW)
    assert (model.input_price_usd, model.output_price_usd) == (None, None)
    assert model.cost_tier is CostTier.STANDARD


@pytest.mark.parametrize(
    "fields",
    [
        {"input_price_usd": Decimal(1)},
        {"price_state": PriceState.PRICE_KNOWN},
        {"price_state": PriceState.PRICE_FREE, "input_price_usd": Decimal(1)},
        {"price_state": PriceState.PRICE_UNKNOWN, "input_price_usd": Decimal(1)},
    ],
)
def test_prices_that_contradict_each_other_are_refused(fields: dict[str, Any]) -> None:
    with pytest.raises(InvalidRequest):
        edited(BLANK, fields, NOW)


def test_an_announced_end_makes_a_model_retiring_then_retired() -> None:
    ending = edited(BLANK, {"retire_time": NOW + timedelta(days=1)}, NOW)
    assert ending.lifecycle is Lifecycle.RETIRING
    ended = edited(ending, {"retire_time": NOW}, NOW)
    assert ended.lifecycle is Lifecycle.RETIRED
    assert edited(ended, {"retire_time": None}, NOW).lifecycle is Lifecycle.ACTIVE


def test_no_date_of_an_admin_brings_back_what_the_provider_dropped() -> None:
    missing = replace(BLANK, lifecycle=Lifecycle.MISSING)
    gone = replace(BLANK, lifecycle=Lifecycle.RETIRED)
    assert edited(missing, {"retire_time": None}, NOW).lifecycle is Lifecycle.MISSING
    assert edited(gone, {"retire_time": None}, NOW).lifecycle is Lifecycle.RETIRED
