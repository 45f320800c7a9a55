"""Azure OpenAI's list of base models, and the deployments that are called in their place.

GET {models_url}?api-version= -> ``{"data": [{"id", "status", "lifecycle_status", "capabilities":
{"inference", "chat_completion", "completion", "embeddings"}, "deprecation": {"inference": unix time}}]}``.
The key goes into ``api-key``; no prices, no limits.

What a call names is a deployment, and no API that takes the key lists those. ``options.deployments`` maps
them by hand, ``{"our-chat": "gpt-4o-2024-08-06"}``: then the deployments are the models, with what the list
says of their base models. Without it the base models are. ``options.api_version`` is VERSION where not set;
below ``/openai/v1`` none is sent.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from imrs_server.adapters.http import Call
from imrs_server.adapters.providers.description import described
from imrs_server.adapters.providers.dialect import Dialect, mapping, option_headers, text_option, with_query
from imrs_server.domain import catalogue_rules as rules

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from imrs_server.adapters.providers.dialect import Access
    from imrs_server.domain.discovery import DiscoveredModel

VERSION = "2024-10-21"
_BASE = "base_model"


class Azure(Dialect):
    """The dialect ``azure``."""

    keys = ("data",)

    def first(self, access: Access) -> Call:
        return Call(url=versioned(access, access.provider.models_url), headers=headers(access))

    def entries(self, access: Access, items: Iterable[Any]) -> Iterator[Any]:
        deployments = deployments_of(access)
        if not deployments:
            yield from items
            return
        wanted, bases = set(deployments.values()), dict[str, Any]()
        for item in items:
            name = item.get("id") if isinstance(item, dict) else None
            if isinstance(name, str) and name in wanted:
                bases[name] = item
        for name, base in deployments.items():
            yield {**bases.get(base, {}), "id": name, _BASE: base}

    def parse(
        self, access: Access, item: Mapping[str, Any], details: Mapping[str, Any]
    ) -> DiscoveredModel | None:
        del details
        told = mapping(item, "capabilities")
        if told.get("inference") is False:
            # It can be fine-tuned only.
            return None
        base = item.get(_BASE) or item.get("id")
        kind = rules.model_type(str(base), {"embeddings"} if told.get("embeddings") is True else ())
        return described(
            access,
            item.get("id"),
            made_of=str(base),
            kind=kind if told.get("embeddings") is True or told.get("chat_completion") is True else None,
            retire_time=_moment(mapping(item, "deprecation").get("inference")),
        )


def versioned(access: Access, url: str) -> str:
    """The URL with the version of the API, where it needs one."""
    version = text_option(access, "api_version") or ("" if "/openai/v1/" in url else VERSION)
    return with_query(url, **{"api-version": version}) if version else url


def headers(access: Access) -> dict[str, str]:
    """Those of every call: the provider's own, and the key."""
    key = {"api-key": access.key.reveal()} if access.key is not None else {}
    return {**option_headers(access), **key}


def deployments_of(access: Access) -> dict[str, str]:
    """The deployments that the admin wrote down, each with its base model."""
    written = access.provider.options.get("deployments")
    if isinstance(written, list):
        return {name: name for name in written if isinstance(name, str)}
    if not isinstance(written, dict):
        return {}
    return {name: base for name, base in written.items() if isinstance(base, str)}


def _moment(seconds: object) -> datetime | None:
    if isinstance(seconds, bool) or not isinstance(seconds, int | float) or seconds <= 0:
        return None
    try:
        return datetime.fromtimestamp(seconds, UTC)
    except (ValueError, OverflowError, OSError):
        return None
