"""Page tokens: opaque, signed, bound to the caller and to the list that they continue."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from datetime import datetime
from typing import TYPE_CHECKING, Any

from imrs_server.domain.errors import InvalidRequest, Violation
from imrs_server.domain.listing import PageRequest
from imrs_server.transport.call import who

if TYPE_CHECKING:
    from google.protobuf.message import Message

    from imrs_server.domain.listing import Page

DEFAULT_SIZE = 50
_MAC_BYTES = 16


class Pager:
    """Makes and reads page tokens with one secret of the deployment."""

    def __init__(self, secret: bytes) -> None:
        self._secret = secret

    def start(self, request: Any) -> PageRequest:
        """Where the list goes on. Raises InvalidRequest for a token of another caller, list or filter."""
        return PageRequest(
            size=request.page_size or DEFAULT_SIZE,
            order_by=request.order_by,
            after=self._read(request) if request.page_token else None,
        )

    def next_token(self, request: Any, page: Page[Any]) -> str:
        """The token of the next page; empty on the last one."""
        if page.after is None:
            return ""
        body = json.dumps([_plain(each) for each in page.after], separators=(",", ":")).encode()
        return base64.urlsafe_b64encode(self._mac(request, body) + body).decode()

    def _read(self, request: Any) -> tuple[Any, ...]:
        try:
            raw = base64.b64decode(request.page_token.encode(), altchars=b"-_", validate=True)
        except ValueError:
            raw = b""
        mac, body = raw[:_MAC_BYTES], raw[_MAC_BYTES:]
        if not hmac.compare_digest(mac, self._mac(request, body)):
            raise InvalidRequest(
                Violation("page_token", "must be a next_page_token of this very list; start without one")
            )
        return tuple(json.loads(body))

    def _mac(self, request: Message, body: bytes) -> bytes:
        """Over the caller and the whole request but its page: another filter or caller gives another MAC."""
        same = type(request)()
        same.CopyFrom(request)
        for name in ("page_token", "page_size"):
            same.ClearField(name)
        principal = who()
        bound = (
            type(request).__name__,
            principal.subject,
            str(principal.tenant_id),
            same.SerializeToString(deterministic=True).hex(),
        )
        return hmac.new(self._secret, "\0".join(bound).encode() + body, hashlib.sha256).digest()[:_MAC_BYTES]


def _plain(value: Any) -> Any:
    if isinstance(value, int | float):
        return value
    return value.isoformat() if isinstance(value, datetime) else str(value)
