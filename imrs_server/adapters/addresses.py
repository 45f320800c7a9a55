"""Which addresses the server may call because an admin, or a provider, named them (no DNS here).

An admin of the platform is not thereby an admin of its network: a metadata service or an internal host,
called from here, would answer with what only this server may see.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from ipaddress import (
    IPv4Address,
    IPv4Network,
    IPv6Address,
    IPv6Network,
    ip_address,
    ip_network,
)
from urllib.parse import SplitResult, urlsplit

from imrs_server.domain.errors import AddressForbidden, InvalidRequest, Violation

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

# Refused whatever is configured: link-local, "this host", multicast, reserved, and the metadata services
# that clouds put on addresses of their own (AWS, Alibaba, Oracle, Azure).
_ALWAYS_FORBIDDEN: tuple[Network, ...] = tuple(
    ip_network(each)
    for each in (
        "0.0.0.0/8",
        "169.254.0.0/16",
        "100.100.100.200/32",
        "192.0.0.192/32",
        "168.63.129.16/32",
        "224.0.0.0/4",
        "240.0.0.0/4",
        "::/128",
        "fe80::/10",
        "fd00:ec2::254/128",
        "ff00::/8",
    )
)
# Not routed publicly although some Python versions call them global.
_NOT_PUBLIC: tuple[Network, ...] = tuple(
    ip_network(each)
    for each in ("100.64.0.0/10", "192.0.0.0/24", "192.88.99.0/24", "198.18.0.0/15", "3fff::/20")
)
_PUBLIC_V6 = IPv6Network("2000::/3")
_NAT64 = IPv6Network("64:ff9b::/96")
_V4_COMPATIBLE = IPv6Network("::/96")

_LABEL = r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?"
_HOST_NAME = re.compile(rf"(?=.{{1,253}}\Z){_LABEL}(?:\.{_LABEL})*\.?", re.IGNORECASE)
_NUMBER = re.compile(r"0x[0-9a-f]*|[0-9]+", re.IGNORECASE)
_URL_LENGTH = 2048


@dataclass(frozen=True, slots=True, kw_only=True)
class AddressRules:
    """What may be called.

    Public addresses over https on one of ``ports``; addresses in ``allowed`` also over plain http and on any
    port. ``allowed`` opens private and loopback networks, never a link-local or metadata address.
    """

    allowed: tuple[Network, ...] = ()
    ports: frozenset[int] = frozenset({443})

    def check_url(self, url: str, *, field: str = "url") -> SplitResult:
        """Check what can be told without DNS: form, scheme, user info, fragment, literal addresses, port.

        Raises InvalidRequest for what is no URL, AddressForbidden for what may not be called.
        """
        parts = _parsed(url, field)
        host = parts.hostname or ""
        if parts.scheme not in ("https", "http"):
            raise AddressForbidden(address=host or field, detail="the scheme must be https")
        if "@" in parts.netloc:
            raise AddressForbidden(address=host, detail="user info is refused; a key goes into api_key")
        if "#" in url:
            raise AddressForbidden(address=host, detail="a fragment has no meaning here")
        port = _port(parts, host)
        literal = _literal(host)
        if literal is not None:
            self.check_address(literal, host=host, port=port, scheme=parts.scheme)
        elif not self.allowed:
            # With open networks a name may turn out to lie in one; that is decided at the connect.
            self._check_public(host, port, parts.scheme)
        if _is_local_name(host) and not any(net.is_loopback for net in self.allowed):
            raise AddressForbidden(address=host, detail="it is a loopback name")
        return parts

    def check_api_base(self, api_base: str, models_endpoint: str = "", *, within: str = "") -> None:
        """Check a base address and the path that is appended to it. Raises like ``check_url``.

        ``within`` is where the request has both, `provider.`.
        """
        if "?" in api_base:
            raise InvalidRequest(
                Violation(f"{within}api_base", "must have no query; put it into models_endpoint")
            )
        base = self.check_url(api_base, field=f"{within}api_base")
        if not models_endpoint:
            return
        if not models_endpoint.startswith("/") or models_endpoint.startswith(("//", "/\\")):
            raise InvalidRequest(Violation(f"{within}models_endpoint", "must start with exactly one slash"))
        joined = self.check_url(api_base.rstrip("/") + models_endpoint, field=f"{within}models_endpoint")
        if joined.netloc != base.netloc:
            raise AddressForbidden(address=joined.hostname, detail="models_endpoint changes the host")

    def check_address(self, address: Address, *, host: str, port: int, scheme: str) -> None:
        """Check an address that is about to be called for ``host``. Raises AddressForbidden."""
        faces = _faces(address)
        if any(_within(face, _ALWAYS_FORBIDDEN) for face in faces):
            raise AddressForbidden(address=host, detail="it is a link-local, reserved or metadata address")
        if all(_within(face, self.allowed) for face in faces):
            return
        if not all(_is_public(face) for face in faces):
            raise AddressForbidden(address=host, detail="it is private and in no allowed network")
        self._check_public(host, port, scheme)

    def check_unresolved(self, parts: SplitResult) -> None:
        """Check a URL whose name somebody else resolves: then it can only be held to https and the ports.

        Raises AddressForbidden.
        """
        self._check_public(parts.hostname or "", _port(parts, parts.hostname or ""), parts.scheme)

    def _check_public(self, host: str, port: int, scheme: str) -> None:
        if scheme != "https":
            raise AddressForbidden(address=host, detail="the scheme must be https")
        if port not in self.ports:
            wanted = ", ".join(str(each) for each in sorted(self.ports))
            raise AddressForbidden(address=host, detail=f"port {port} is not one of {wanted}")


def _parsed(url: str, field: str) -> SplitResult:
    if not url or len(url) > _URL_LENGTH:
        raise InvalidRequest(Violation(field, f"must be a URL of at most {_URL_LENGTH} characters"))
    # Parsers disagree about these, and what was checked must be what is called.
    if not url.isascii() or not url.isprintable() or " " in url or "\\" in url:
        raise InvalidRequest(Violation(field, "must be printable ASCII without spaces or backslashes"))
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        raise InvalidRequest(Violation(field, "is not a URL")) from None
    if not parts.scheme or (parts.scheme in ("http", "https") and not parts.hostname):
        raise InvalidRequest(Violation(field, "must be a full URL, like https://host/v1"))
    return parts


def _port(parts: SplitResult, host: str) -> int:
    if parts.port == 0 or parts.netloc.endswith(":"):
        raise AddressForbidden(address=host, detail="port 0 or an empty port is refused")
    return parts.port or (443 if parts.scheme == "https" else 80)


def _literal(host: str) -> Address | None:
    """The address that the host spells, None for a name; what only some parsers understand is refused."""
    if "%" in host:
        raise AddressForbidden(address=host, detail="percent signs and zones are refused")
    if ":" in host:
        try:
            return IPv6Address(host)
        except ValueError:
            raise AddressForbidden(address=host, detail="it is no IPv6 address") from None
    if _NUMBER.fullmatch(host.rstrip(".").rpartition(".")[2]):
        try:
            return IPv4Address(host)
        except ValueError:
            raise AddressForbidden(address=host, detail="write IPv4 as four decimal numbers") from None
    if not _HOST_NAME.fullmatch(host):
        raise AddressForbidden(address=host, detail="it is no host name")
    return None


def _faces(address: Address) -> tuple[Address, ...]:
    """All addresses that a packet to this one may reach: the ones embedded in it, or itself."""
    if isinstance(address, IPv4Address):
        return (address,)
    if address.ipv4_mapped is not None:
        return (address.ipv4_mapped,)
    if address.sixtofour is not None:
        return (address.sixtofour,)
    if address.teredo is not None:
        return address.teredo
    # ::1 and :: have faces of their own; the rest of ::/96 is the deprecated spelling of an IPv4 address.
    if address in _NAT64 or (address in _V4_COMPATIBLE and int(address) > 0xFFFF):
        return (IPv4Address(int(address) & 0xFFFFFFFF),)
    return (address,)


def _is_public(address: Address) -> bool:
    if isinstance(address, IPv6Address) and address not in _PUBLIC_V6:
        return False
    return address.is_global and not _within(address, _NOT_PUBLIC)


def _within(address: Address, networks: tuple[Network, ...]) -> bool:
    return any(address.version == net.version and address in net for net in networks)


def _is_local_name(host: str) -> bool:
    name = host.rstrip(".").lower()
    return name == "localhost" or name.endswith(".localhost")


def parse_address(text: str) -> Address:
    """Parse an address as a resolver returns it, zone included. Raises ValueError."""
    return ip_address(text.partition("%")[0])
