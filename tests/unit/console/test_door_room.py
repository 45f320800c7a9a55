"""Bodies of the door take a bounded room, whoever sends them."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from imrs_server.console.door import reading
from imrs_server.console.door.answering import Endpoint
from imrs_server.console.door.reading import BODIES_BYTES, Hold
from imrs_server.console.door.refusals import Refused

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.types import Message

    from imrs_server.console.door.answering import Reply


async def _hello(_request: Request, reply: Reply) -> None:
    await reply.document({"hello": "there"})


def status(body: bytes) -> int:
    """What a request with this body is answered."""
    said: list[Message] = []
    parts: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def receive() -> Message:
        if parts:
            return parts.pop()
        await asyncio.Event().wait()
        raise AssertionError

    async def send(message: Message) -> None:
        said.append(message)

    scope = {"type": "http", "method": "POST", "path": "/", "headers": [], "query_string": b""}
    asyncio.run(Endpoint(_hello)(scope, receive, send))
    return int(said[0]["status"])


def test_what_others_hold_is_no_room_until_they_let_go() -> None:
    other = Hold()
    other.add(BODIES_BYTES - 1)
    assert status(b"{}") == 503
    other.let_go()
    assert status(b"{}") == 200


def test_no_call_keeps_what_it_held() -> None:
    for body in (b"{}", b"not JSON", b"x" * (reading.BODY_BYTES + 1)):
        status(body)
    everything = Hold()
    everything.add(BODIES_BYTES)
    with pytest.raises(Refused):
        Hold().add(1)
    everything.let_go()
