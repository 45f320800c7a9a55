"""Demo data for ``imrs dev``: four providers with real models, three agents, all through the use cases."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from imrs_server.cli.dev_environment import AGENT_ID, TENANT_ID
from imrs_server.domain.errors import AgentExists, ProviderExists
from imrs_server.domain.model import CostTier, ModelFilter, ModelType
from imrs_server.domain.principal import Principal, Role
from imrs_server.domain.provider import Provider, ProviderType
from imrs_server.embedded import demo_catalogue

if TYPE_CHECKING:
    from imrs_server.wiring import App

_PLATFORM = Principal(subject="seed", tenant_id=None, roles=frozenset({Role.PLATFORM_ADMIN}))
_TENANT = Principal(subject="seed", tenant_id=TENANT_ID, roles=frozenset({Role.TENANT_ADMIN}))

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
)


def plant(app: App) -> None:
    """Add what is not there; what was changed or deleted since stays as it is."""
    for provider_id, display_name, provider_type, api_base in _PROVIDERS:
        provider = Provider(
            provider_id=provider_id,
            display_name=display_name,
            provider_type=provider_type,
            dialect="",
            api_base=api_base,
            models_endpoint="",
        )
        try:
            app.providers.create(_PLATFORM, provider, None)
        except ProviderExists:
            continue
        models = demo_catalogue.models(demo_catalogue.SOURCES[provider_id], provider_id)
        app.sync.load(_PLATFORM, provider_id, models)
    for agent_id, fields, filters in _AGENTS:
        try:
            app.agents.create(_TENANT, None, agent_id, fields)
        except AgentExists:
            continue
        for each in filters:
            app.agent_models.enable(_TENANT, None, agent_id, filter=each)
