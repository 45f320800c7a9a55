"""What an answer's status says, and how much of its body is taken."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import httpcore

from imrs_server.adapters.failures import RateLimited, Unreachable, Unusable
from imrs_server.adapters.retry_after import wait_seconds
from imrs_server.adapters.wire import own_words

if TYPE_CHECKING:
    from collections.abc import Iterator

    from imrs_server.adapters.wire import Response

_ERROR_BODY_BYTES = 64 << 10
_UNKNOWN_KEY = b"API_KEY_INVALID"
_SPENT = (b"enforced_spend_limit_reached", b"insufficient_quota")


def require_success(response: Response) -> None:
    """Raises CallFailed, with what may help, unless the status is 200 and the answer plain."""
    status = response.status
    if status == 200:
        require_plain(response)
        return
    if 300 <= status < 400:
        raise Unusable("it redirects, which is never followed; give the final address", status=status)
    # Google says 400 to a key that it does not know.
    if status in (401, 403) or (status == 400 and _UNKNOWN_KEY in _error_body(response)):
        raise Unusable("it refuses the key", status=status)
    if status not in (408, 429) and status < 500:
        raise Unusable("the address or the request is not what it understands", status=status)
    body = _error_body(response)
    wait = wait_seconds(response.headers, body, datetime.now(UTC))
    if status == 429:
        spent = any(word in body for word in _SPENT) or response.headers.get("x-should-retry") == "false"
        raise RateLimited("too many calls", status=status, retry_after_seconds=wait, again=not spent)
    again = status in (502, 503, 504)
    raise Unreachable("it has a failure of its own", status=status, retry_after_seconds=wait, again=again)


def require_plain(response: Response) -> None:
    """Raises Unusable where the answer is compressed: it may inflate to anything."""
    if response.headers.get("content-encoding", "identity").strip().lower() not in ("", "identity"):
        raise Unusable("the answer is compressed, which was not asked for", status=response.status)


def _error_body(response: Response) -> bytes:
    body = b""
    try:
        for chunk in response.chunks:
            body += chunk
            if len(body) >= _ERROR_BODY_BYTES:
                break
    except (httpcore.ProtocolError, httpcore.NetworkError, httpcore.TimeoutException):
        # The status has said enough.
        return body
    return body


def chunks(response: Response, max_bytes: int) -> Iterator[bytes]:
    """The body as it comes. Raises CallFailed, also where it is larger than that."""
    size = 0
    with own_words():
        for chunk in response.chunks:
            size += len(chunk)
            if size > max_bytes:
                raise Unusable(f"the answer is larger than {max_bytes >> 20} MiB")
            yield chunk
