"""Anthropic's list, in pages.

GET {models_url}?limit=1000&after_id= -> ``{"data": [{"id", "display_name", "max_input_tokens", "max_tokens",
"capabilities": {"image_input": {"supported"}, "pdf_input", "structured_outputs", "thinking", ...}}],
"has_more", "last_id"}``. No prices. The key goes into ``x-api-key``; ``options.api_version`` names another
version of the API than VERSION.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from imrs_server.adapters.failures import Unusable
from imrs_server.adapters.http import Call
from imrs_server.adapters.providers.description import described
from imrs_server.adapters.providers.dialect import Dialect, mapping, option_headers, text_option, with_query

if TYPE_CHECKING:
    from collections.abc import Mapping

    from imrs_server.adapters.providers.dialect import Access
    from imrs_server.domain.discovery import DiscoveredModel

VERSION = "2023-06-01"


class Anthropic(Dialect):
    """The dialect ``anthropic``."""

    keys = ("data",)

    def first(self, access: Access) -> Call:
        return _call(access, _url(access))

    def following(self, access: Access, envelope: Mapping[str, Any], last: Any) -> Call | None:
        if envelope.get("has_more") is not True:
            return None
        after = envelope.get("last_id") or (last.get("id") if isinstance(last, dict) else None)
        if not isinstance(after, str):
            # Ending here would take half a list for a whole one.
            raise Unusable("it has more pages and does not say where")
        return _call(access, with_query(_url(access), after_id=after))

    def parse(
        self, access: Access, item: Mapping[str, Any], details: Mapping[str, Any]
    ) -> DiscoveredModel | None:
        del details
        told = mapping(item, "capabilities")
        inputs = {
            modality
            for modality, capability in (("image", "image_input"), ("file", "pdf_input"))
            if _supports(told, capability)
        }
        return described(
            access,
            item.get("id"),
            display_name=item.get("display_name"),
            inputs=inputs,
            # Not told, since there is nothing to tell: every model that this API lists takes tools.
            tools=True,
            structured_output=_supports(told, "structured_outputs"),
            reasoning=_supports(told, "thinking"),
            capabilities_told=bool(told),
            context_length=item.get("max_input_tokens"),
            max_output_tokens=item.get("max_tokens"),
        )


def _supports(told: Mapping[str, Any], capability: str) -> bool:
    return mapping(told, capability).get("supported") is True


def _url(access: Access) -> str:
    return with_query(access.provider.models_url, limit=1000)


def headers(access: Access) -> dict[str, str]:
    """Those of every call: the provider's own, the version of the API, and the key."""
    version = {"anthropic-version": text_option(access, "api_version") or VERSION}
    key = {"x-api-key": access.key.reveal()} if access.key is not None else {}
    return {**option_headers(access), **version, **key}


def _call(access: Access, url: str) -> Call:
    return Call(url=url, headers=headers(access))
