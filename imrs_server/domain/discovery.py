"""A model as a provider's list, or a curated catalogue, describes it."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any

from imrs_server.domain.model import CostTier, ModelType, PriceState, Provenance


@dataclass(frozen=True, slots=True, kw_only=True)
class DiscoveredModel:
    """One item of a list, already judged by the rules of ``catalogue_rules``.

    Prices are USD per 1M tokens and present exactly when ``price_state`` is KNOWN or FREE.
    ``provenance`` names the fields that the source itself gave, or that follow from what it gave;
    a field not in it is a default, which a better source may replace. ``metadata`` is the item as it came.
    """

    external_id: str
    display_name: str
    model_type: ModelType = ModelType.CHAT
    capabilities: tuple[str, ...] = ()
    cost_tier: CostTier = CostTier.STANDARD
    context_length: int | None = None
    max_output_tokens: int | None = None
    price_state: PriceState = PriceState.PRICE_UNKNOWN
    input_price_usd: Decimal | None = None
    output_price_usd: Decimal | None = None
    cached_input_price_usd: Decimal | None = None
    retire_time: datetime | None = None
    provenance: dict[str, Provenance] = field(default_factory=dict)
    metadata: dict[str, Any] = field(default_factory=dict)
