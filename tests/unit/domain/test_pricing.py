"""What a call costs."""

from __future__ import annotations

from decimal import Decimal

import pytest

from imrs_server.domain.model import PriceState
from imrs_server.domain.pricing import Price, cost_usd


def cost(price: Price, prompt: int = 1_000_000, completion: int = 500_000, cached: int = 0) -> Decimal | None:
    return cost_usd(price, prompt_tokens=prompt, completion_tokens=completion, cached_tokens=cached)


def listed(state: PriceState = PriceState.PRICE_KNOWN, **prices: str) -> Price:
    return Price(price_state=state, **{f"{name}_price_usd": Decimal(usd) for name, usd in prices.items()})


def test_tokens_cost_their_price_per_million() -> None:
    assert cost(listed(input="2", output="10")) == 7


def test_cached_tokens_cost_the_cached_price() -> None:
    assert cost(listed(input="2", output="10", cached_input="0.5"), cached=400_000) == Decimal("6.4")


def test_cached_tokens_cost_the_input_price_where_none_is_known_and_never_more() -> None:
    assert cost(listed(input="2", output="10"), cached=400_000) == 7
    own = Price(
        price_state=PriceState.PRICE_KNOWN,
        input_price_usd=Decimal(2),
        output_price_usd=Decimal(10),
        cached_input_price_usd=Decimal(1),
        own_input_price_usd=Decimal("0.5"),
    )
    assert cost(own, cached=1_000_000) == Decimal("5.5")


def test_free_costs_nothing() -> None:
    assert cost(listed(PriceState.PRICE_FREE)) == 0
    assert cost(listed(PriceState.PRICE_FREE, input="0", output="0")) == 0


@pytest.mark.parametrize("state", [PriceState.PRICE_UNKNOWN, PriceState.PRICE_VARIABLE])
def test_a_price_that_cannot_be_trusted_is_not_a_cost_of_zero(state: PriceState) -> None:
    assert cost(listed(state, input="2", output="10")) is None
    assert cost(listed(state, own_input="2", output="10")) is None


def test_an_agents_own_prices_stand_for_unknown_ones() -> None:
    assert cost(listed(PriceState.PRICE_UNKNOWN, own_input="2", own_output="10")) == 7


def test_costs_are_exact_to_a_billionth() -> None:
    assert cost(listed(input="0.000000001", output="0.15"), prompt=1, completion=1) == Decimal("1.5e-7")


def test_absurd_amounts_are_unpriced() -> None:
    assert cost(listed(input="999999999", output="0"), prompt=10**9) is None
