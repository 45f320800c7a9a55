"""Cohere's list, in pages.

GET {api_base}/models?page_size=1000&page_token= -> ``{"models": [{"name", "endpoints", "finetuned",
"context_length", "features", "is_deprecated"}], "next_page_token"}``. The list is in version 1 of its API
only, so a base address of version 2 is asked there. No prices, and no day for what is deprecated.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from imrs_server.adapters.http import Call
from imrs_server.adapters.providers.description import described
from imrs_server.adapters.providers.dialect import Dialect, bearer, option_headers, with_query, words
from imrs_server.domain.model import ModelType

if TYPE_CHECKING:
    from collections.abc import Mapping

    from imrs_server.adapters.providers.dialect import Access
    from imrs_server.domain.discovery import DiscoveredModel

_KINDS = (
    ("chat", ModelType.CHAT),
    ("generate", ModelType.CHAT),
    ("embed", ModelType.EMBEDDING),
    ("rerank", ModelType.RERANK),
)


class Cohere(Dialect):
    """The dialect ``cohere``."""

    keys = ("models",)

    def first(self, access: Access) -> Call:
        return _call(access, _url(access))

    def following(self, access: Access, envelope: Mapping[str, Any], last: Any) -> Call | None:
        del last
        token = envelope.get("next_page_token")
        if not isinstance(token, str) or not token:
            return None
        return _call(access, with_query(_url(access), page_token=token))

    def parse(
        self, access: Access, item: Mapping[str, Any], details: Mapping[str, Any]
    ) -> DiscoveredModel | None:
        del details
        endpoints, features = words(item, "endpoints"), words(item, "features")
        kind = next((kind for endpoint, kind in _KINDS if endpoint in endpoints), None)
        if endpoints and kind is None:
            # A classifier, say: nothing that this API routes.
            return None
        return described(
            access,
            item.get("name"),
            kind=kind,
            inputs={"image"} if "vision" in features else (),
            tools=not features.isdisjoint({"tools", "strict_tools"}),
            structured_output=not features.isdisjoint({"json_schema", "json_mode"}),
            reasoning="reasoning" in features,
            capabilities_told=bool(features),
            context_length=item.get("context_length"),
        )


def _url(access: Access) -> str:
    base = access.provider.api_base.rstrip("/")
    if base.endswith("/v2"):
        base = base.removesuffix("v2") + "v1"
    return with_query(replace(access.provider, api_base=base).models_url, page_size=1000)


def _call(access: Access, url: str) -> Call:
    return Call(url=url, headers={**option_headers(access), **bearer(access)})
