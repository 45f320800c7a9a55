"""Providers that a file may name without describing them: those of document 003."""

from __future__ import annotations

from typing import Any, Final

PRESETS: Final[dict[str, dict[str, Any]]] = {
    "gradient": {
        "display_name": "DigitalOcean Gradient",
        "provider_type": "CUSTOM",
        "api_base": "https://inference.do-ai.run/v1",
    },
    "claude": {
        "display_name": "Anthropic Claude",
        "provider_type": "ANTHROPIC",
        "api_base": "https://api.anthropic.com/v1",
    },
    "mistral": {
        "display_name": "Mistral",
        "provider_type": "CUSTOM",
        "api_base": "https://api.mistral.ai/v1",
    },
    "openai": {
        "display_name": "OpenAI",
        "provider_type": "OPENAI",
        "api_base": "https://api.openai.com/v1",
    },
}
