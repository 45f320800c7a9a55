"""A model in the catalogue, and the filter that picks models in bulk."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any

from imrs_server.domain.parameters import UNSET, Parameters


class ModelType(StrEnum):
    """What a model produces."""

    CHAT = "CHAT"
    EMBEDDING = "EMBEDDING"
    IMAGE = "IMAGE"
    AUDIO = "AUDIO"
    RERANK = "RERANK"


class CostTier(StrEnum):
    """Rough price classes, cheapest first."""

    FREE = "FREE"
    LOW = "LOW"
    STANDARD = "STANDARD"
    PREMIUM = "PREMIUM"

    @property
    def rank(self) -> int:
        """0 for FREE to 3 for PREMIUM."""
        return list(CostTier).index(self)


class PriceState(StrEnum):
    """How far prices can be trusted: only KNOWN and FREE may enter arithmetic."""

    PRICE_KNOWN = "PRICE_KNOWN"
    PRICE_FREE = "PRICE_FREE"
    PRICE_VARIABLE = "PRICE_VARIABLE"
    PRICE_UNKNOWN = "PRICE_UNKNOWN"


class Lifecycle(StrEnum):
    """Whether the provider still lists the model. RETIRED is never routed to."""

    ACTIVE = "ACTIVE"
    MISSING = "MISSING"
    RETIRING = "RETIRING"
    RETIRED = "RETIRED"


class Provenance(StrEnum):
    """Who said it, strongest first: a sync never overwrites what an admin set."""

    ADMIN = "ADMIN"
    PROVIDER = "PROVIDER"
    CURATED = "CURATED"


DEFAULT_PRIORITY = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class Model:
    """A row of ``models``. Prices are USD per 1M tokens."""

    model_id: str
    provider_id: str
    external_id: str
    display_name: str
    model_type: ModelType = ModelType.CHAT
    capabilities: tuple[str, ...] = ()
    domains: tuple[str, ...] = ()
    priority: int = DEFAULT_PRIORITY
    cost_tier: CostTier = CostTier.STANDARD
    context_length: int | None = None
    max_output_tokens: int | None = None
    price_state: PriceState = PriceState.PRICE_UNKNOWN
    input_price_usd: Decimal | None = None
    output_price_usd: Decimal | None = None
    cached_input_price_usd: Decimal | None = None
    parameters: Parameters = UNSET
    available: bool = True
    lifecycle: Lifecycle = Lifecycle.ACTIVE
    retire_time: datetime | None = None
    provenance: dict[str, str] = field(default_factory=dict)
    metadata: dict[str, Any] = field(default_factory=dict)
    synced_time: datetime | None = None
    create_time: datetime | None = None
    update_time: datetime | None = None
    delete_time: datetime | None = None
    version: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelFilter:
    """Which models are meant; every set field must hold. An empty filter matches every model."""

    provider_id: str = ""
    cost_tier: CostTier | None = None
    capabilities: tuple[str, ...] = ()
    domains: tuple[str, ...] = ()
    model_type: ModelType | None = None
    available: bool | None = None
    search: str = ""
    min_context_length: int | None = None
    max_input_price_usd: Decimal | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class BulkUpdate:
    """What to set on every model that passes a filter; None leaves a field as it is."""

    available: bool | None = None
    priority: int | None = None
    cost_tier: CostTier | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class BulkResult:
    """How many models passed the filter, and how many of them were not that way before."""

    matched_count: int
    updated_count: int
