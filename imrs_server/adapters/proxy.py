"""The way out through a company's proxy, and which hosts are called without it."""

from __future__ import annotations

from dataclasses import dataclass, field
from ipaddress import ip_address
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

if TYPE_CHECKING:
    from urllib.parse import SplitResult

_PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True, slots=True, kw_only=True)
class Proxy:
    """An HTTP proxy that is asked to CONNECT; it resolves the names.

    ``direct`` names hosts, and with a leading dot whole domains, that are called without it. Addresses
    written as numbers never go through it: they are checked here and called directly.
    """

    scheme: str
    host: str
    port: int
    username: str = field(default="", repr=False)
    password: str = field(default="", repr=False)
    direct: tuple[str, ...] = ()

    @classmethod
    def parse(cls, url: str, direct: tuple[str, ...] = ()) -> Proxy:
        """Read ``http(s)://[user:password@]host[:port]``. Raises ValueError, without what was written."""
        parts = urlsplit(url)
        if parts.scheme not in _PORTS or not parts.hostname or parts.path not in ("", "/") or parts.query:
            raise ValueError("must be http://host:port or https://host:port")
        return cls(
            scheme=parts.scheme,
            host=parts.hostname,
            port=parts.port or _PORTS[parts.scheme],
            username=unquote(parts.username or ""),
            password=unquote(parts.password or ""),
            direct=tuple(each.lower().rstrip(".") for each in direct),
        )

    @property
    def url(self) -> str:
        """Without its credentials."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}://{host}:{self.port}"

    @property
    def auth(self) -> tuple[str, str] | None:
        return (self.username, self.password) if self.username else None

    def takes(self, target: SplitResult) -> bool:
        """Whether a call goes through the proxy."""
        host = (target.hostname or "").lower().rstrip(".")
        if _is_address(host) or host == "localhost" or host.endswith(".localhost"):
            return False
        return not any(
            host == each.lstrip(".") or (each.startswith(".") and host.endswith(each)) for each in self.direct
        )


def _is_address(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True
