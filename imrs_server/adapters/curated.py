"""Curated catalogues from packages, offline: models.dev for limits and capabilities, genai-prices for prices.

Both packages are the extra ``curated``; without one of them nothing is curated from it. They are imported
at the first model that they could complete: together they take about 0.3 s and 40 MB, once a process.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache, partial
from importlib import import_module
from typing import TYPE_CHECKING, Any

import structlog

from imrs_server.domain import catalogue_rules as rules
from imrs_server.domain import curated
from imrs_server.domain.provider import ProviderType

if TYPE_CHECKING:
    from imrs_server.domain.discovery import DiscoveredModel
    from imrs_server.domain.provider import Provider

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class _Names:
    """How the two catalogues call a provider."""

    models_dev: str
    genai_prices: str


# By dialect. Servers of one's own (ollama, vllm) have nobody's prices, and neither has who copies OpenAI.
_KNOWN = {
    "anthropic": _Names("anthropic", "anthropic"),
    "azure": _Names("azure", "azure"),
    "cohere": _Names("cohere", "cohere"),
    "gemini": _Names("google", "google"),
    "groq": _Names("groq", "groq"),
    "mistral": _Names("mistral", "mistral"),
    "openrouter": _Names("openrouter", "openrouter"),
    "together": _Names("togetherai", "together"),
}
_OPENAI = _Names("openai", "openai")
_OPENAI_BASE = "https://api.openai.com/"


@dataclass(frozen=True, slots=True, kw_only=True)
class Curated:
    """What is known of one provider's models: models.dev's by name, genai-prices' by finding.

    ``bases`` says what a deployment with a name of its own is one of.
    """

    models: Mapping[str, Any] = field(default_factory=dict)
    find_price: Callable[[str], Any] | None = None
    bases: Mapping[str, Any] = field(default_factory=dict)

    def completed(self, model: DiscoveredModel) -> DiscoveredModel:
        """The listed model with what its provider does not say. What is not known here stays unknown."""
        name = str(self.bases.get(model.external_id, model.external_id))
        entry = self.models.get(name)
        if entry is not None:
            model = curated.described(model, facts(entry))
        if self.find_price is not None and "price_state" not in model.provenance:
            model = curated.priced(model, _price(self.find_price(name)))
        return model


def of(provider: Provider) -> Curated:
    """The curated catalogues of the company behind a provider; empty for one that they do not know."""
    known = _OPENAI if _is_openai(provider) else _KNOWN.get(provider.dialect)
    models_dev, genai_prices = _package("models_dev"), _package("genai_prices.data_snapshot")
    models: Mapping[str, Any] = {}
    find_price = None
    if models_dev is not None:
        wanted = known.models_dev if known else None
        models = next((each.models for each in models_dev.providers() if _is(each, wanted, provider)), {})
    if genai_prices is not None and known is not None:
        everyone = genai_prices.get_snapshot().providers
        prices = next((each for each in everyone if each.id == known.genai_prices), None)
        # Some host the models of others, at their prices: Azure those of OpenAI.
        find_price = partial(prices.find_model, all_providers=everyone) if prices is not None else None
    deployments = provider.options.get("deployments")
    bases = deployments if isinstance(deployments, dict) else {}
    return Curated(models=models, find_price=find_price, bases=bases)


def facts(entry: Any) -> curated.Facts:
    """What an entry of models.dev says."""
    return curated.Facts(
        display_name=entry.name,
        inputs=entry.modalities.input,
        outputs=entry.modalities.output,
        tools=entry.tool_call,
        structured_output=bool(entry.structured_output),
        reasoning=entry.reasoning,
        context_length=rules.token_count(entry.limit.context),
        max_output_tokens=rules.token_count(entry.limit.output),
    )


def _is(found: Any, wanted: str | None, provider: Provider) -> bool:
    if wanted is not None:
        return bool(found.id == wanted)
    # Some are at home on this very machine; there anything may answer.
    return bool(found.api) and found.api.startswith("https://") and _same(found.api, provider.api_base)


def _same(one: str, other: str) -> bool:
    return one.rstrip("/") == other.rstrip("/")


def _is_openai(provider: Provider) -> bool:
    return provider.provider_type is ProviderType.OPENAI or provider.api_base.startswith(_OPENAI_BASE)


def _price(model: Any) -> rules.Prices:
    """The price of today: of the lowest tier where it grows with the prompt, without discounts."""
    if model is None:
        return rules.prices(None, None)
    price = model.get_prices(datetime.now(UTC))
    return rules.prices(
        _base(price.input_mtok),
        _base(price.output_mtok),
        cached=_base(price.cache_read_mtok),
        other_charges=[_base(price.requests_kcount)],
        unit=rules.PER_MILLION_TOKENS,
    )


def _base(price: Any) -> Any:
    return getattr(price, "base", price)


@cache
def _package(name: str) -> Any:
    try:
        return import_module(name)
    except ImportError:
        log.info("curated.absent", package=name, detail="install imrs-server[curated] to have it")
        return None
