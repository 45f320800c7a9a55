"""What differs between providers when their models are listed."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import urljoin, urlsplit

from imrs_server.adapters.failures import Unusable
from imrs_server.domain.provider import Provider
from imrs_server.domain.secret import Secret

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from imrs_server.adapters.http import Call
    from imrs_server.domain.discovery import DiscoveredModel

_HEADER_NAME = re.compile(r"[A-Za-z0-9-]{1,64}")
# Set by the client or by the dialect; an option that names one of these would undo them.
_RESERVED_HEADERS = frozenset(
    {
        "accept",
        "accept-encoding",
        "api-key",
        "authorization",
        "connection",
        "content-length",
        "content-type",
        "cookie",
        "host",
        "proxy-authorization",
        "te",
        "transfer-encoding",
        "upgrade",
        "x-api-key",
        "x-goog-api-key",
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Access:
    """A provider and the key to it; None where it needs none."""

    provider: Provider
    key: Secret | None = None


class Dialect(Protocol):
    """One provider's way of listing models. Stateless: an instance serves every provider that speaks it."""

    @property
    def keys(self) -> Collection[str]:
        """Members of the answer that may hold the list; an answer that is a bare array needs none."""

    def first(self, access: Access) -> Call:
        """The call for the first page."""

    def following(self, access: Access, envelope: Mapping[str, Any], last: Any) -> Call | None:
        """The call for the page after the one with this envelope and this last item; None at the end."""

    def details(self, access: Access, item: Mapping[str, Any]) -> Call | None:
        """The call for what the list leaves out about an item (Ollama's /api/show); mostly None."""

    def parse(
        self, access: Access, item: Mapping[str, Any], details: Mapping[str, Any]
    ) -> DiscoveredModel | None:
        """The model that an item describes; None when it cannot be one. ``metadata`` is left empty."""


def option_headers(access: Access) -> dict[str, str]:
    """The headers in the provider's ``options.headers``, without reserved and malformed ones."""
    headers = access.provider.options.get("headers")
    if not isinstance(headers, dict):
        return {}
    return {
        name: value
        for name, value in headers.items()
        if isinstance(name, str)
        and isinstance(value, str)
        and _HEADER_NAME.fullmatch(name)
        and name.lower() not in _RESERVED_HEADERS
        and value.isascii()
        and value.isprintable()
    }


def bearer(access: Access) -> dict[str, str]:
    """``Authorization: Bearer``, when there is a key."""
    return {"authorization": f"Bearer {access.key.reveal()}"} if access.key is not None else {}


def next_url(access: Access, link: object) -> str | None:
    """The next page that an answer names. Raises Unusable when that would take the key to another host."""
    if not isinstance(link, str) or not link:
        return None
    here = access.provider.models_url
    there = urljoin(here, link)
    if urlsplit(there)[:2] != urlsplit(here)[:2]:
        raise Unusable("its next page is on another host")
    return there
