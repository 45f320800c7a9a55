"""OpenRouter's list, the richest there is.

GET {models_url}?output_modalities=all -> ``{"data": [...], "links": {"next"}, "total_count"}``; without an
offset everything comes at once. An item has id, name, context_length, architecture (input_modalities,
output_modalities), pricing (strings, USD per token; "-1" = variable), top_provider (context_length,
max_completion_tokens), supported_parameters and expiration_date.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from imrs_server.adapters.http import Call
from imrs_server.adapters.providers.description import described
from imrs_server.adapters.providers.dialect import (
    Dialect,
    bearer,
    mapping,
    next_url,
    option_headers,
    with_query,
    words,
)
from imrs_server.domain import catalogue_rules as rules

if TYPE_CHECKING:
    from collections.abc import Mapping

    from imrs_server.adapters.providers.dialect import Access
    from imrs_server.domain.discovery import DiscoveredModel

# What is charged beside tokens of text whenever the model is called; web_search is paid only when asked for.
_OTHER_CHARGES = (
    "request",
    "image",
    "image_token",
    "image_output",
    "audio",
    "audio_output",
    "internal_reasoning",
)


class OpenRouter(Dialect):
    """The dialect ``openrouter``."""

    keys = ("data",)

    def first(self, access: Access) -> Call:
        # Its default leaves out everything that does not write text.
        return self._call(access, with_query(access.provider.models_url, output_modalities="all"))

    def following(self, access: Access, envelope: Mapping[str, Any], last: Any) -> Call | None:
        del last
        url = next_url(access, mapping(envelope, "links").get("next"))
        return self._call(access, url) if url is not None else None

    def key_check(self, access: Access) -> Call | None:
        """The list is public; what is known about the key is not."""
        return self._call(access, access.provider.api_base.rstrip("/") + "/key")

    def parse(
        self, access: Access, item: Mapping[str, Any], details: Mapping[str, Any]
    ) -> DiscoveredModel | None:
        del details
        top, pricing = mapping(item, "top_provider"), mapping(item, "pricing")
        inputs = words(mapping(item, "architecture"), "input_modalities")
        parameters = words(item, "supported_parameters")
        price = rules.prices(
            pricing.get("prompt"),
            pricing.get("completion"),
            cached=pricing.get("input_cache_read"),
            other_charges=[pricing.get(charge) for charge in _OTHER_CHARGES],
        )
        return described(
            access,
            item.get("id"),
            display_name=item.get("name"),
            outputs=words(mapping(item, "architecture"), "output_modalities"),
            inputs=inputs,
            tools="tools" in parameters,
            structured_output="structured_outputs" in parameters,
            reasoning=not {"reasoning", "include_reasoning"}.isdisjoint(parameters),
            capabilities_told=bool(inputs or parameters),
            context_length=rules.token_count(item.get("context_length")) or top.get("context_length"),
            max_output_tokens=top.get("max_completion_tokens"),
            price=price if pricing else None,
            retire_time=rules.day(item.get("expiration_date")),
        )

    def _call(self, access: Access, url: str) -> Call:
        return Call(url=url, headers={**option_headers(access), **bearer(access)})
