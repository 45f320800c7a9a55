"""What becomes a configuration file, collected from many sources."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any, Final

from imrs_server.cli.config.origins.fields import Notes
from imrs_server.cli.config.origins.reading import Place
from imrs_server.config_file.presets import PRESETS
from imrs_server.domain.secret import Secret

# Providers that the sources name and a file must describe.
KNOWN: Final[dict[str, dict[str, Any]]] = {
    "anthropic": {"provider_type": "ANTHROPIC", "api_base": "https://api.anthropic.com/v1"},
    "deepseek": {
        "display_name": "DeepSeek",
        "provider_type": "CUSTOM",
        "api_base": "https://api.deepseek.com/v1",
    },
    "grok": {"display_name": "xAI Grok", "provider_type": "CUSTOM", "api_base": "https://api.x.ai/v1"},
    "groq": {"dialect": "groq", "provider_type": "CUSTOM", "api_base": "https://api.groq.com/openai/v1"},
    "openrouter": {
        "display_name": "OpenRouter",
        "provider_type": "OPENROUTER",
        "api_base": "https://openrouter.ai/api/v1",
    },
}
_AGENT_ID: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Key:
    """A key of a provider, or of an agent with one; ``encrypted`` by Fernet or plain."""

    provider_id: str
    agent_id: str = ""
    secret: Secret = field(repr=False)
    encrypted: bool = False
    place: Place


@dataclass(slots=True)
class Draft:
    """The sections of a file, and what is beside it: keys, and notes on what found no place."""

    notes: Notes = field(default_factory=Notes)
    global_defaults: dict[str, Any] = field(default_factory=dict)
    providers: dict[str, dict[str, Any]] = field(default_factory=dict)
    models: dict[str, dict[str, Any]] = field(default_factory=dict)
    preferences: dict[str, dict[str, Any]] = field(default_factory=dict)
    agents: dict[str, dict[str, Any]] = field(default_factory=dict)
    keys: list[Key] = field(default_factory=list)
    # (section, key) -> where it came from.
    places: dict[tuple[str, str], Place] = field(default_factory=dict)

    def provider(self, name: str, place: Place, *, listed: bool = True, api_base: str = "") -> str:
        """The provider_id for a name.

        ``listed``: whether the file must list it, as the section `models` needs; presets need not be else.
        ``api_base``: its address, where that is known; ours for a few, and a note for the others.
        """
        provider_id = re.sub(r"[^a-z0-9_-]+", "-", name.strip().lower()).strip("-_")[:50] or "unnamed"
        if provider_id != name:
            self.notes.add(place, f"provider {name}", f"is called {provider_id}")
        preset = provider_id in PRESETS
        if provider_id not in self.providers and (listed or not preset):
            self.providers[provider_id] = dict(KNOWN.get(provider_id, {}))
            self.places["providers", provider_id] = place
        if api_base:
            self.providers[provider_id].setdefault("api_base", api_base)
        return provider_id

    def agent(self, name: str, place: Place) -> str:
        """The agent_id for a name."""
        if _AGENT_ID.fullmatch(name):
            return name
        agent_id = re.sub(r"[^A-Za-z0-9._-]+", "-", name).strip("-._")[:64] or "unnamed"
        self.notes.add(place, f"agent {name}", f"is called {agent_id}")
        return agent_id

    def model(self, provider_id: str, external_id: str, place: Place) -> str:
        """The model_id; the file will have the model in its catalogue."""
        model_id = f"{provider_id}/{external_id}"
        self.models.setdefault(model_id, {})
        self.places.setdefault(("models", model_id), place)
        return model_id

    def content(self) -> dict[str, Any]:
        """The file's sections that say something."""
        for provider_id, provider in self.providers.items():
            if provider_id not in PRESETS:
                provider.setdefault("provider_type", "CUSTOM")
        sections = {
            "global_defaults": self.global_defaults,
            "providers": self.providers,
            "models": self.models,
            "preferences": self.preferences,
            "agents": self.agents,
        }
        return {"version": "1.0", **{name: each for name, each in sections.items() if each}}
