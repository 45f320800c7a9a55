"""What comes in, bounded: the token, the body, and the id that correlates."""

from __future__ import annotations

import asyncio
import json
from math import isinf
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from imrs_server.console.door.refusals import Refused
from imrs_server.telemetry import traceparent

if TYPE_CHECKING:
    from starlette.requests import Request

BODY_BYTES = 8 << 20
"""As much as the service takes of one request."""

BODIES_BYTES = 128 << 20
"""As much as this process holds of all requests together, whoever sends them: tokens are checked later."""

_BODY_SECONDS = 30.0
_ID_CHARACTERS = 128


def token(request: Request) -> str:
    """The bearer token. Raises Refused."""
    scheme, _, found = request.headers.get("authorization", "").partition(" ")
    found = found.strip()
    if scheme.lower() != "bearer" or not found or not found.isascii() or not found.isprintable():
        raise Refused(
            "An IMRS token is needed: Authorization: Bearer ...", status=401, code="invalid_api_key"
        )
    return found


def request_id(request: Request) -> str:
    """The caller's own, where it is fit to be shown, or a new one."""
    given = request.headers.get("x-request-id", "")
    if 0 < len(given) <= _ID_CHARACTERS and given.isascii() and given.isprintable():
        return given
    return f"req_{uuid4().hex}"


def trail(request: Request, request_id: str) -> tuple[tuple[str, str], ...]:
    """Metadata by which the lines and spans of the call below are found: the id, and the caller's trace."""
    trace = request.headers.get(traceparent.KEY, "")
    found = (("x-request-id", request_id),)
    return (*found, (traceparent.KEY, trace)) if traceparent.parse(trace) else found


class Hold:
    """What one request holds of the room for bodies, until it is let go. Only for the event loop's thread."""

    _all = 0

    def __init__(self) -> None:
        self._own = 0

    def add(self, size: int) -> None:
        """Raises Refused where there is no room for so many bytes more."""
        if Hold._all + size > BODIES_BYTES:
            raise Refused(
                "The bodies of other calls take all the room; try again.", status=503, code="overloaded"
            )
        Hold._all += size
        self._own += size

    def let_go(self) -> None:
        Hold._all -= self._own
        self._own = 0


async def document(request: Request, hold: Hold) -> dict[str, Any]:
    """The body, a JSON object. Raises Refused."""
    body = bytearray()
    try:
        async with asyncio.timeout(_BODY_SECONDS):
            async for chunk in request.stream():
                hold.add(len(chunk))
                body += chunk
                if len(body) > BODY_BYTES:
                    raise Refused(f"The body is larger than {BODY_BYTES >> 20} MiB.", status=413)
    except TimeoutError:
        raise Refused(f"The body did not come within {_BODY_SECONDS:g} s.", status=408) from None
    found = _parsed(bytes(body))
    if not isinstance(found, dict):
        raise Refused("The body must be a JSON object.")
    return found


def _parsed(body: bytes) -> Any:
    try:
        text = body.decode("utf-8-sig")
        found = json.loads(text, parse_constant=_refuse, parse_float=_finite, parse_int=_whole)
        if "\\u" in text:
            # An escape may tell half of a character, which is no text.
            json.dumps(found, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        raise Refused("A text in the body has half of a surrogate pair; send the whole character.") from None
    except OverflowError:
        raise Refused("A number in the body is larger than any that can be told.") from None
    except (ValueError, RecursionError):
        raise Refused("The body is not JSON.") from None
    return found


def _refuse(constant: str) -> None:
    raise ValueError(constant)


def _finite(digits: str) -> float:
    found = float(digits)
    if isinf(found):
        raise OverflowError(digits)
    return found


def _whole(digits: str) -> int:
    found = int(digits)
    # Numbers of protobuf's JSON are floats.
    float(found)
    return found
