"""Google Gemini's list, in pages.

GET {models_url}?pageSize=1000&pageToken= -> ``{"models": [{"name": "models/...", "displayName",
"inputTokenLimit", "outputTokenLimit", "supportedGenerationMethods", "thinking"}], "nextPageToken"}``. What
goes in, and whether it takes tools, is not told; nor are prices. The key goes into ``x-goog-api-key``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from imrs_server.adapters.http import Call
from imrs_server.adapters.providers.description import described
from imrs_server.adapters.providers.dialect import Dialect, option_headers, with_query, words
from imrs_server.domain.model import ModelType

if TYPE_CHECKING:
    from collections.abc import Mapping

    from imrs_server.adapters.providers.dialect import Access
    from imrs_server.domain.discovery import DiscoveredModel

_PICTURES = frozenset({"predict", "predictLongRunning"})


class Gemini(Dialect):
    """The dialect ``gemini``."""

    keys = ("models",)

    def first(self, access: Access) -> Call:
        return _call(access, _url(access))

    def following(self, access: Access, envelope: Mapping[str, Any], last: Any) -> Call | None:
        del last
        token = envelope.get("nextPageToken")
        if not isinstance(token, str) or not token:
            return None
        return _call(access, with_query(_url(access), pageToken=token))

    def parse(
        self, access: Access, item: Mapping[str, Any], details: Mapping[str, Any]
    ) -> DiscoveredModel | None:
        del details
        name = item.get("name")
        return described(
            access,
            name.removeprefix("models/") if isinstance(name, str) else None,
            display_name=item.get("displayName"),
            kind=_kind(words(item, "supportedGenerationMethods")),
            reasoning=item.get("thinking") is True,
            context_length=item.get("inputTokenLimit"),
            max_output_tokens=item.get("outputTokenLimit"),
        )


def _kind(methods: frozenset[str]) -> ModelType | None:
    """By what it can be asked to do; what writes text may be a painter or a speaker, which the name tells."""
    if "generateContent" in methods:
        return None
    if "embedContent" in methods:
        return ModelType.EMBEDDING
    return None if methods.isdisjoint(_PICTURES) else ModelType.IMAGE


def _url(access: Access) -> str:
    return with_query(access.provider.models_url, pageSize=1000)


def _call(access: Access, url: str) -> Call:
    key = {"x-goog-api-key": access.key.reveal()} if access.key is not None else {}
    return Call(url=url, headers={**option_headers(access), **key})
