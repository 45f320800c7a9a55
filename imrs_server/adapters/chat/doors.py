"""Where a provider takes chats in OpenAI's shape: at its own address, or at a door beside its own API."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import quote

from imrs_server.adapters.providers import azure, ollama, openai

if TYPE_CHECKING:
    from imrs_server.adapters.providers.dialect import Access

CHAT = "/chat/completions"
EMBEDDINGS = "/embeddings"


def url_of(access: Access, external_id: str, path: str = CHAT) -> str:
    """The address of chat completions, or of embeddings.

    Azure names the deployment in the path, but below ``/openai/v1``; Ollama's door is ``/v1``, Gemini's
    ``/openai`` and Cohere's ``/compatibility/v1``; the others have it beside their list of models.
    """
    base = access.provider.api_base.rstrip("/")
    match access.provider.dialect:
        case "azure":
            if base.endswith("/openai/v1"):
                return azure.versioned(access, f"{base}{path}")
            deployment = quote(external_id, safe="")
            root = base.removesuffix("/openai")
            return azure.versioned(access, f"{root}/openai/deployments/{deployment}{path}")
        case "cohere":
            root = base.removesuffix("/compatibility/v1").removesuffix("/v1").removesuffix("/v2")
            return f"{root}/compatibility/v1{path}"
        case "gemini":
            return f"{base.removesuffix('/openai')}/openai{path}"
        case "ollama":
            return f"{ollama.root(access)}/v1{path}"
        case _:
            return beside_models(access, path)


def beside_models(access: Access, path: str) -> str:
    """The address that differs from the list's in the last step: ``/v1/models`` -> ``/v1`` + path."""
    base = access.provider.api_base.rstrip("/")
    endpoint = access.provider.models_endpoint.partition("?")[0]
    return base + (endpoint.removesuffix("/models") if endpoint.endswith("/models") else "") + path


def headers_of(access: Access) -> dict[str, str]:
    """The headers of a call, the key among them."""
    return azure.headers(access) if access.provider.dialect == "azure" else openai.headers(access)
