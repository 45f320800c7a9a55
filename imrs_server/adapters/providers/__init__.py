"""One small module per way of listing models; ``speaking`` picks one by name."""

from __future__ import annotations

from typing import TYPE_CHECKING

from imrs_server.adapters.providers.openai import OpenAI
from imrs_server.adapters.providers.openrouter import OpenRouter
from imrs_server.domain.errors import NotBuilt

if TYPE_CHECKING:
    from imrs_server.adapters.providers.dialect import Dialect

_OPENAI = OpenAI()
# Groq, Mistral, Together, vLLM and Ollama answer in OpenAI's shape, or near enough to find ids and limits.
DIALECTS: dict[str, Dialect] = {
    "openrouter": OpenRouter(),
    **dict.fromkeys(("openai", "groq", "mistral", "ollama", "together", "vllm"), _OPENAI),
}


def speaking(name: str) -> Dialect:
    """The dialect of that name. Raises NotBuilt."""
    dialect = DIALECTS.get(name)
    if dialect is None:
        raise NotBuilt(method=f"Listing models in the dialect {name}")
    return dialect
