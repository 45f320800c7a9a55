"""What differs between providers when their models are listed."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import parse_qsl, quote, urlencode, urljoin, urlsplit, urlunsplit

from imrs_server.adapters.failures import Unusable
from imrs_server.domain.provider import Provider
from imrs_server.domain.secret import Secret

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping

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
    """One provider's way of listing models. Stateless: an instance serves every provider that speaks it.

    What has a body here is what most of them do: one page, nothing more to ask, an item is a model.
    """

    @property
    def keys(self) -> Collection[str]:
        """Members of the answer that may hold the list; an answer that is a bare array needs none."""

    def first(self, access: Access) -> Call:
        """The call for the first page."""

    def following(self, access: Access, envelope: Mapping[str, Any], last: Any) -> Call | None:
        """The call for the page after the one with this envelope and this last item; None at the end."""
        del access, envelope, last
        return None

    def entries(self, access: Access, items: Iterable[Any]) -> Iterator[Any]:
        """What counts as a model, out of the items of all pages (for Azure: the deployments)."""
        del access
        yield from items

    def details(self, access: Access, item: Mapping[str, Any]) -> Call | None:
        """The call for what the list leaves out about an item (Ollama's /api/show); mostly None."""
        del access, item
        return None

    def parse(
        self, access: Access, item: Mapping[str, Any], details: Mapping[str, Any]
    ) -> DiscoveredModel | None:
        """The model that an item describes; None when it cannot be one. ``metadata`` is left empty."""

    def key_check(self, access: Access) -> Call | None:
        """A call that only a good key passes, where the list is public; None where the list is not."""
        del access
        return None


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


def with_query(url: str, **parameters: str | int) -> str:
    """The URL with these parameters added; one that it names already is left to the admin who wrote it."""
    parts = urlsplit(url)
    named = {name for name, _ in parse_qsl(parts.query, keep_blank_values=True)}
    added = {name: value for name, value in parameters.items() if name not in named}
    if not added:
        return url
    query = "&".join(part for part in (parts.query, urlencode(added, quote_via=quote, safe="")) if part)
    return urlunsplit(parts._replace(query=query))


def text_option(access: Access, name: str) -> str:
    """A provider's option that is text; empty where it is not set."""
    value = access.provider.options.get(name)
    return value if isinstance(value, str) else ""


def mapping(item: Mapping[str, Any], member: str) -> Mapping[str, Any]:
    """A member that should be an object; an empty one where it is not."""
    value = item.get(member)
    return value if isinstance(value, dict) else {}


def words(item: Mapping[str, Any], member: str) -> frozenset[str]:
    """A member that should be a list of texts, as a set; empty where it is not."""
    value = item.get(member)
    if not isinstance(value, list):
        return frozenset()
    return frozenset(each for each in value if isinstance(each, str))


def first_of(item: Mapping[str, Any], *members: str) -> Any:
    """The first of the members that is there and not null."""
    return next((item[member] for member in members if item.get(member) is not None), None)
