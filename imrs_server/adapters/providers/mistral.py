"""Mistral's list, in which a model comes once more for each of its other names.

GET {models_url} -> ``{"object": "list", "data": [{"id", "name", "aliases", "max_context_length",
"capabilities": {"completion_chat", "function_calling", "vision", "reasoning", ...}, "deprecation"}]}``;
``deprecation`` is the time of its end. No prices.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from imrs_server.adapters.http import Call
from imrs_server.adapters.providers.description import described
from imrs_server.adapters.providers.dialect import Dialect, bearer, mapping, option_headers, words
from imrs_server.domain import catalogue_rules as rules
from imrs_server.domain.model import ModelType

if TYPE_CHECKING:
    from collections.abc import Mapping

    from imrs_server.adapters.providers.dialect import Access
    from imrs_server.domain.discovery import DiscoveredModel


class Mistral(Dialect):
    """The dialect ``mistral``."""

    keys = ("data",)

    def first(self, access: Access) -> Call:
        return Call(url=access.provider.models_url, headers={**option_headers(access), **bearer(access)})

    def parse(
        self, access: Access, item: Mapping[str, Any], details: Mapping[str, Any]
    ) -> DiscoveredModel | None:
        """An alias is no model of its own: it would have two ratings, and move under an agent's feet."""
        del details
        name, told = item.get("name"), mapping(item, "capabilities")
        if isinstance(name, str) and name != item.get("id") and name in words(item, "aliases"):
            return None
        kind = rules.model_type(str(item.get("id")))
        if told.get("completion_chat") is False and told.get("completion_fim") is not True:
            if kind is ModelType.CHAT and told.get("audio_transcription") is True:
                kind = ModelType.AUDIO
            if kind is ModelType.CHAT:
                # Moderation, classification, reading of scans: nothing that this API routes.
                return None
        inputs = {
            modality for modality, flag in (("image", "vision"), ("audio", "audio")) if told.get(flag) is True
        }
        return described(
            access,
            item.get("id"),
            kind=kind if told else None,
            inputs=inputs,
            tools=told.get("function_calling") is True,
            reasoning=told.get("reasoning") is True,
            capabilities_told=bool(told),
            context_length=item.get("max_context_length"),
            retire_time=rules.day(item.get("deprecation")),
        )
