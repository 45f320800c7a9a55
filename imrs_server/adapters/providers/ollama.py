"""Ollama's list, and one more question for each model.

GET {root}/api/tags -> ``{"models": [{"name", "model", "size", "digest", "details", "remote_model"?}]}``;
POST {root}/api/show ``{"model"}`` -> ``{"capabilities": ["completion", "tools", "vision", "thinking",
"embedding"], "model_info": {"general.architecture", "<architecture>.context_length"}}``. No key, no prices: a
price that is not told is not 0, even where the machine is your own.

The root is api_base without the ``/v1`` below which Ollama speaks OpenAI's language: people write either.
``models_endpoint`` counts where it is another path than /models and /api/tags, behind a proxy for example.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from imrs_server.adapters.http import Call
from imrs_server.adapters.providers.description import described
from imrs_server.adapters.providers.dialect import Dialect, bearer, first_of, mapping, option_headers, words
from imrs_server.domain.model import ModelType

if TYPE_CHECKING:
    from collections.abc import Mapping

    from imrs_server.adapters.providers.dialect import Access
    from imrs_server.domain.discovery import DiscoveredModel


class Ollama(Dialect):
    """The dialect ``ollama``."""

    keys = ("models", "data")

    def first(self, access: Access) -> Call:
        return _call(access, _tags(access))

    def details(self, access: Access, item: Mapping[str, Any]) -> Call | None:
        name = _name(item)
        if not isinstance(name, str):
            return None
        return _call(access, _show(access), json.dumps({"model": name}).encode())

    def parse(
        self, access: Access, item: Mapping[str, Any], details: Mapping[str, Any]
    ) -> DiscoveredModel | None:
        told = words(details, "capabilities")
        return described(
            access,
            _name(item),
            kind=_kind(told),
            inputs={modality for modality, word in _INPUTS if word in told},
            tools="tools" in told,
            reasoning="thinking" in told,
            capabilities_told=bool(told),
            context_length=_context(mapping(details, "model_info")),
        )


_INPUTS = (("image", "vision"), ("audio", "audio"))


def _name(item: Mapping[str, Any]) -> Any:
    return first_of(item, "model", "name", "id")


def _kind(told: frozenset[str]) -> ModelType | None:
    if "completion" in told:
        return ModelType.CHAT
    return ModelType.EMBEDDING if "embedding" in told else None


def _context(info: Mapping[str, Any]) -> Any:
    named = info.get(f"{info.get('general.architecture')}.context_length")
    if named is not None:
        return named
    return next((value for name, value in info.items() if name.endswith(".context_length")), None)


def root(access: Access) -> str:
    """Where its API begins."""
    base = access.provider.api_base.rstrip("/")
    return base.removesuffix("/v1").removesuffix("/api").rstrip("/")


def _tags(access: Access) -> str:
    if access.provider.models_endpoint in ("", "/models", "/api/tags"):
        return root(access) + "/api/tags"
    return access.provider.models_url


def _show(access: Access) -> str:
    url = _tags(access)
    return url.removesuffix("/tags") + "/show" if url.endswith("/tags") else root(access) + "/api/show"


def _call(access: Access, url: str, body: bytes | None = None) -> Call:
    return Call(url=url, headers={**option_headers(access), **bearer(access)}, body=body)
