"""What a model call costs."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import ROUND_HALF_EVEN, Decimal

from imrs_server.domain.model import PriceState

_TOKENS_PER_PRICE = Decimal(1_000_000)
_SMALLEST_USD = Decimal("1e-9")
_LARGEST_USD = Decimal(999_999_999)


@dataclass(frozen=True, slots=True, kw_only=True)
class Price:
    """USD per 1M tokens, as the catalogue has it and as an agent's own configuration overrides it."""

    price_state: PriceState = PriceState.PRICE_UNKNOWN
    input_price_usd: Decimal | None = None
    output_price_usd: Decimal | None = None
    cached_input_price_usd: Decimal | None = None
    own_input_price_usd: Decimal | None = None
    own_output_price_usd: Decimal | None = None


UNPRICED = Price()


def cost_usd(
    price: Price, *, prompt_tokens: int, completion_tokens: int, cached_tokens: int
) -> Decimal | None:
    """The cost of a call to a billionth of a dollar; None where the price is not known, never 0 for that.

    ``cached_tokens`` are those of ``prompt_tokens`` that the provider had cached. They cost the cached price,
    and the input price where none is known; never more than the input price, which an agent may have
    negotiated below the list.
    """
    known = price.price_state in {PriceState.PRICE_KNOWN, PriceState.PRICE_FREE}
    free = Decimal(0) if price.price_state is PriceState.PRICE_FREE else None
    input_usd = _first(price.own_input_price_usd, price.input_price_usd if known else None, free)
    output_usd = _first(price.own_output_price_usd, price.output_price_usd if known else None, free)
    if input_usd is None or output_usd is None:
        return None
    cached_usd = input_usd
    if known and price.cached_input_price_usd is not None:
        cached_usd = min(input_usd, price.cached_input_price_usd)
    cost = (
        (prompt_tokens - cached_tokens) * input_usd
        + cached_tokens * cached_usd
        + completion_tokens * output_usd
    ) / _TOKENS_PER_PRICE
    # A price and a count that are both absurd say nothing about money.
    return None if cost > _LARGEST_USD else cost.quantize(_SMALLEST_USD, ROUND_HALF_EVEN)


def _first(*prices: Decimal | None) -> Decimal | None:
    return next((each for each in prices if each is not None), None)
