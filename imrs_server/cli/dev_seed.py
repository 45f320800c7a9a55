"""Demo data for ``imrs dev``, all through the use cases: four providers with real models, one that repeats
what it is told, four agents.
"""

from __future__ import annotations

from contextlib import suppress
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from imrs_server.cli.dev_environment import AGENT_ID, TENANT_ID
from imrs_server.domain.discovery import DiscoveredModel
from imrs_server.domain.errors import AgentExists, ModelNotFound, ProviderExists, ProviderNotFound
from imrs_server.domain.model import CostTier, ModelFilter, ModelType, PriceState, Provenance
from imrs_server.domain.principal import Principal, Role
from imrs_server.domain.provider import Provider, ProviderType
from imrs_server.embedded import demo_catalogue, echo

if TYPE_CHECKING:
    from collections.abc import Iterable

    from imrs_server.embedded.echo import Echo
    from imrs_server.wiring import App

_PLATFORM = Principal(subject="seed", tenant_id=None, roles=frozenset({Role.PLATFORM_ADMIN}))
_TENANT = Principal(subject="seed", tenant_id=TENANT_ID, roles=frozenset({Role.TENANT_ADMIN}))

_ECHO = "echo"

_PROVIDERS = (
    ("openai", "OpenAI", ProviderType.OPENAI, "https://api.openai.com/v1"),
    ("anthropic", "Anthropic", ProviderType.ANTHROPIC, "https://api.anthropic.com/v1"),
    ("openrouter", "OpenRouter", ProviderType.OPENROUTER, "https://openrouter.ai/api/v1"),
    ("ollama", "Ollama on this machine", ProviderType.OLLAMA, "http://127.0.0.1:11434/v1"),
)

# Agent, its settings, and which models it may use.
_AGENTS: tuple[tuple[str, dict[str, Any], tuple[ModelFilter, ...]], ...] = (
    (
        AGENT_ID,
        {"display_name": "Coder", "use_case": "writes and reviews code", "tags": ("demo", "code")},
        (
            ModelFilter(provider_id="anthropic", model_type=ModelType.CHAT),
            ModelFilter(provider_id="openai", model_type=ModelType.CHAT),
            ModelFilter(provider_id="ollama", model_type=ModelType.CHAT),
        ),
    ),
    (
        "researcher",
        {"display_name": "Researcher", "use_case": "reads and summarizes", "tags": ("demo",)},
        (ModelFilter(provider_id="openrouter", model_type=ModelType.CHAT, min_context_length=200_000),),
    ),
    (
        "assistant",
        {"display_name": "Assistant", "use_case": "small talk at no cost", "tags": ("demo", "free")},
        (
            ModelFilter(provider_id="openrouter", model_type=ModelType.CHAT, cost_tier=CostTier.FREE),
            ModelFilter(provider_id="ollama", model_type=ModelType.CHAT),
        ),
    ),
    (
        _ECHO,
        {"display_name": "Echo", "use_case": "tries Complete out with no key", "tags": ("demo", "free")},
        (ModelFilter(provider_id=_ECHO),),
    ),
)


def plant(app: App, server: Echo) -> None:
    """Add what is not there; what was changed or deleted since stays as it is, but for the echo's port."""
    for provider_id, display_name, provider_type, api_base in _PROVIDERS:
        provider = _provider(provider_id, display_name, provider_type, api_base)
        _add(app, provider, demo_catalogue.models(demo_catalogue.SOURCES[provider_id], provider_id))
    # A dialect that needs no key.
    name = "Echo: no model, repeats what it is told"
    provider = _provider(_ECHO, name, ProviderType.CUSTOM, server.api_base, dialect="vllm")
    _add(app, provider, [_echoing(each) for each in echo.MODELS])
    with suppress(ProviderNotFound):
        app.providers.update(_PLATFORM, _ECHO, {"api_base": server.api_base})
    for external_id in echo.MODELS:
        _keep_free(app, f"{_ECHO}/{external_id}")
    for agent_id, fields, filters in _AGENTS:
        try:
            app.agents.create(_TENANT, None, agent_id, fields)
        except AgentExists:
            continue
        for each in filters:
            app.agent_models.enable(_TENANT, None, agent_id, filter=each)


def _add(app: App, provider: Provider, models: Iterable[DiscoveredModel]) -> None:
    try:
        app.providers.create(_PLATFORM, provider, None)
    except ProviderExists:
        return
    app.sync.load(_PLATFORM, provider.provider_id, models)


def _keep_free(app: App, model_id: str) -> None:
    """Have a model's price be an admin's word, unless it is already.

    A list as vLLM's has no prices, and a sync takes for unknown what it does not hear of.
    """
    with suppress(ModelNotFound):
        model = app.catalog.get(_PLATFORM, model_id)
        if model.delete_time is None and model.provenance.get("price_state") != Provenance.ADMIN:
            app.catalog.update(_PLATFORM, model_id, {"price_state": PriceState.PRICE_FREE})


def _provider(
    provider_id: str, display_name: str, provider_type: ProviderType, api_base: str, *, dialect: str = ""
) -> Provider:
    return Provider(
        provider_id=provider_id,
        display_name=display_name,
        provider_type=provider_type,
        dialect=dialect,
        api_base=api_base,
        models_endpoint="",
    )


def _echoing(name: str) -> DiscoveredModel:
    free = Decimal(0)
    fields = ("capabilities", "context_length", "price_state", "input_price_usd", "output_price_usd")
    return DiscoveredModel(
        external_id=name,
        display_name=name,
        capabilities=("text",),
        cost_tier=CostTier.FREE,
        context_length=echo.CONTEXT_LENGTH,
        price_state=PriceState.PRICE_FREE,
        input_price_usd=free,
        output_price_usd=free,
        provenance=dict.fromkeys(fields, Provenance.PROVIDER),
    )
