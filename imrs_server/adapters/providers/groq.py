"""Groq's list: OpenAI's, with limits and with what is switched off.

GET {models_url} -> ``{"object": "list", "data": [{"id", "owned_by", "active", "context_window",
"max_completion_tokens"}]}``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from imrs_server.adapters.http import Call
from imrs_server.adapters.providers.description import described
from imrs_server.adapters.providers.dialect import Dialect, bearer, option_headers

if TYPE_CHECKING:
    from collections.abc import Mapping

    from imrs_server.adapters.providers.dialect import Access
    from imrs_server.domain.discovery import DiscoveredModel


class Groq(Dialect):
    """The dialect ``groq``."""

    keys = ("data",)

    def first(self, access: Access) -> Call:
        return Call(url=access.provider.models_url, headers={**option_headers(access), **bearer(access)})

    def parse(
        self, access: Access, item: Mapping[str, Any], details: Mapping[str, Any]
    ) -> DiscoveredModel | None:
        del details
        if item.get("active") is False:
            return None
        return described(
            access,
            item.get("id"),
            context_length=item.get("context_window"),
            max_output_tokens=item.get("max_completion_tokens"),
        )
