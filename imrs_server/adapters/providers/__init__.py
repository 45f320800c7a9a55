"""One small module per way of listing models; ``speaking`` picks one by name."""

from __future__ import annotations

from typing import TYPE_CHECKING

from imrs_server.adapters.providers.anthropic import Anthropic
from imrs_server.adapters.providers.azure import Azure
from imrs_server.adapters.providers.cohere import Cohere
from imrs_server.adapters.providers.gemini import Gemini
from imrs_server.adapters.providers.groq import Groq
from imrs_server.adapters.providers.mistral import Mistral
from imrs_server.adapters.providers.ollama import Ollama
from imrs_server.adapters.providers.openai import OpenAI
from imrs_server.adapters.providers.openrouter import OpenRouter
from imrs_server.adapters.providers.together import Together
from imrs_server.adapters.providers.vllm import VLLM
from imrs_server.domain.errors import InvalidRequest, Violation

if TYPE_CHECKING:
    from imrs_server.adapters.providers.dialect import Dialect

_OPENAI = OpenAI()
DIALECTS: dict[str, Dialect] = {
    "anthropic": Anthropic(),
    "azure": Azure(),
    "cohere": Cohere(),
    "custom": _OPENAI,
    "gemini": Gemini(),
    "groq": Groq(),
    "mistral": Mistral(),
    "ollama": Ollama(),
    "openai": _OPENAI,
    "openrouter": OpenRouter(),
    "together": Together(),
    "vllm": VLLM(),
}


def speaking(name: str) -> Dialect:
    """The dialect of that name. Raises InvalidRequest that names those that there are."""
    dialect = DIALECTS.get(name)
    if dialect is None:
        raise InvalidRequest(Violation("provider.dialect", f"must be one of {', '.join(DIALECTS)}"))
    return dialect
