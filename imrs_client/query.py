"""What one request asks of a model: the input of a decision beside the table."""

from __future__ import annotations

from dataclasses import dataclass

COST_TIERS = ("FREE", "LOW", "STANDARD", "PREMIUM")


@dataclass(frozen=True, slots=True, kw_only=True)
class DataDemand:
    """What a request demands of data handling; a model whose policy is unknown never passes a demand."""

    regions: frozenset[str] = frozenset()
    no_training: bool = False
    no_retention: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    """What one request asks of a model. ``allowed_models`` None is no limit, empty allows nothing.

    ``chance`` is what exploration by chance is drawn from: equal text, equal draw.
    """

    model_type: str = "CHAT"
    capabilities: tuple[str, ...] = ()
    domains: tuple[str, ...] = ()
    allowed_models: tuple[str, ...] | None = None
    excluded_models: tuple[str, ...] = ()
    roles: frozenset[str] = frozenset()
    min_context_length: int = 0
    estimated_prompt_tokens: int = 0
    max_cost_tier: str | None = None
    prefer_cost_tier: str | None = None
    max_latency_ms: float | None = None
    data: DataDemand | None = None
    conversation_id: str = ""
    previous_model_id: str = ""
    max_fallbacks: int = 3
    chance: str = ""
