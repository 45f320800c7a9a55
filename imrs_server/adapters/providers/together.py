"""Together's list: a bare array, with prices.

GET {models_url} -> ``[{"id", "type", "display_name", "context_length", "pricing": {"input", "output",
"hourly", "base", "finetune"}}]``; type is chat, language, code, image, embedding, moderation, rerank, audio,
transcribe or video. Prices are USD per 1M tokens.

Two zeros are a price only where the id says so (``...-Free``): models that are rented by the hour, and those
that are paid by the picture or the second, show zeros too.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from imrs_server.adapters.http import Call
from imrs_server.adapters.providers.description import described
from imrs_server.adapters.providers.dialect import Dialect, bearer, mapping, option_headers
from imrs_server.domain import catalogue_rules as rules
from imrs_server.domain.model import ModelType, PriceState

if TYPE_CHECKING:
    from collections.abc import Mapping

    from imrs_server.adapters.providers.dialect import Access
    from imrs_server.domain.catalogue_rules import Prices
    from imrs_server.domain.discovery import DiscoveredModel

_KINDS = {
    "chat": ModelType.CHAT,
    "language": ModelType.CHAT,
    "code": ModelType.CHAT,
    "embedding": ModelType.EMBEDDING,
    "image": ModelType.IMAGE,
    "video": ModelType.IMAGE,
    "rerank": ModelType.RERANK,
    "audio": ModelType.AUDIO,
    "transcribe": ModelType.AUDIO,
}


class Together(Dialect):
    """The dialect ``together``."""

    keys = ("data",)

    def first(self, access: Access) -> Call:
        return Call(url=access.provider.models_url, headers={**option_headers(access), **bearer(access)})

    def parse(
        self, access: Access, item: Mapping[str, Any], details: Mapping[str, Any]
    ) -> DiscoveredModel | None:
        del details
        kind = item.get("type")
        if kind == "moderation":
            return None
        return described(
            access,
            item.get("id"),
            display_name=item.get("display_name"),
            kind=_KINDS.get(kind) if isinstance(kind, str) else None,
            context_length=item.get("context_length"),
            price=_price(item),
        )


def _price(item: Mapping[str, Any]) -> Prices | None:
    pricing = mapping(item, "pricing")
    if not pricing:
        return None
    price = rules.prices(
        pricing.get("input"),
        pricing.get("output"),
        other_charges=[pricing.get("hourly"), pricing.get("base")],
        unit=rules.PER_MILLION_TOKENS,
    )
    if price.state is PriceState.PRICE_FREE and not str(item.get("id")).lower().endswith("-free"):
        return rules.Prices(state=PriceState.PRICE_UNKNOWN)
    return price
