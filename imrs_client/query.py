"""What one request asks of a model: the input of a decision beside the table."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

COST_TIERS = ("FREE", "LOW", "STANDARD", "PREMIUM")

# More values than this in its lists, and a request costs more to keep than its decision is worth.
MOST_KEPT_VALUES = 200


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

    def needing(self, capabilities: Sequence[str]) -> Query:
        """With what the task needs beside what was asked for."""
        more = tuple([each for each in capabilities if each not in self.capabilities])
        return replace(self, capabilities=self.capabilities + more) if more else self

    @property
    def is_small(self) -> bool:
        """Whether it is kept with its decision: one with long lists of models would fill the log."""
        named = self.allowed_models or ()
        return (
            len(named) + len(self.excluded_models) + len(self.domains) + len(self.roles) <= MOST_KEPT_VALUES
        )
