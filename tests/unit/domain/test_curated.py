"""Curated facts fill gaps, and nothing else."""

from __future__ import annotations

from decimal import Decimal

from imrs_server.domain import catalogue_rules as rules
from imrs_server.domain.curated import Facts, described, priced
from imrs_server.domain.discovery import DiscoveredModel
from imrs_server.domain.model import CostTier, ModelType, PriceState, Provenance

FACTS = Facts(
    display_name="Big One",
    inputs=("text", "image"),
    outputs=("text",),
    tools=True,
    context_length=300_000,
    max_output_tokens=8_000,
)
PRICE = rules.prices("10", "30", unit=rules.PER_MILLION_TOKENS)


def listed(**fields: object) -> DiscoveredModel:
    """A model of whose fields the provider gave those that are named."""
    told = dict.fromkeys(fields, Provenance.PROVIDER)
    return DiscoveredModel(
        **{"external_id": "big", "display_name": "big", "provenance": told, **fields}  # type: ignore[arg-type]
    )


def test_gaps_are_filled_and_marked() -> None:
    model = described(listed(), FACTS)
    assert (model.display_name, model.context_length, model.max_output_tokens) == ("Big One", 300_000, 8_000)
    assert model.capabilities == ("function_calling", "long_context", "text", "vision")
    assert set(model.provenance.values()) == {Provenance.CURATED}


def test_what_the_provider_gave_is_left_and_counts_for_what_follows() -> None:
    model = described(listed(context_length=8_192), FACTS)
    assert (model.context_length, model.provenance["context_length"]) == (8_192, Provenance.PROVIDER)
    assert "long_context" not in model.capabilities


def test_without_modalities_capabilities_are_not_guessed() -> None:
    model = described(listed(capabilities=("text",)), Facts(context_length=1_000))
    assert model.capabilities == ("text",)
    assert model.model_type is ModelType.CHAT


def test_prices_come_together_with_their_tier() -> None:
    model = priced(listed(), PRICE)
    assert (model.price_state, model.output_price_usd) == (PriceState.PRICE_KNOWN, Decimal(30))
    assert model.cost_tier is CostTier.PREMIUM
    assert "cached_input_price_usd" not in model.provenance


def test_a_variable_price_of_the_provider_stays_variable() -> None:
    model = listed(price_state=PriceState.PRICE_VARIABLE)
    assert priced(model, PRICE) == model


def test_an_unknown_curated_price_says_nothing() -> None:
    assert priced(listed(), rules.prices(None, "3")) == listed()
