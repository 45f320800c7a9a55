"""What goes out, and that a call ends when nobody waits for its answer any more."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

import structlog
from starlette.requests import ClientDisconnect, Request

from imrs_client.errors import ImrsError
from imrs_server.console.door import reading, refusals
from imrs_server.console.door.refusals import Refused

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from starlette.types import Message, Receive, Scope, Send

log = structlog.get_logger()

# As many calls of a path are in hand at a time.
MOST_AT_ONCE = 512


class Reply:
    """The answer to one request: a document, or a stream of events."""

    def __init__(self, send: Send, request_id: str) -> None:
        self._send = send
        self.request_id = request_id
        self.is_begun = False

    async def document(
        self, value: Mapping[str, Any], *, status: int = 200, headers: Mapping[str, str] | None = None
    ) -> None:
        body = encode(value)
        length = {"content-length": str(len(body))}
        await self._begin(status, "application/json", {**(headers or {}), **length})
        await self._send({"type": "http.response.body", "body": body})

    async def stream(self, headers: Mapping[str, str]) -> None:
        """Begin to send events; proxies are asked to hold none back."""
        at_once = {"cache-control": "no-cache", "x-accel-buffering": "no"}
        await self._begin(200, "text/event-stream; charset=utf-8", {**headers, **at_once})

    async def event(self, value: Mapping[str, Any]) -> None:
        await self._send(_part(b"data: %b\n\n" % encode(value), more=True))

    async def end(self, *, is_whole: bool = True) -> None:
        await self._send(_part(b"data: [DONE]\n\n" if is_whole else b"", more=False))

    async def refuse(self, refusal: refusals.Refusal) -> None:
        """Tell an error, in the stream where one has begun."""
        if self.is_begun:
            await self.event(refusal.body)
            await self.end(is_whole=False)
        else:
            await self.document(refusal.body, status=refusal.status, headers=refusal.headers)

    async def _begin(self, status: int, kind: str, headers: Mapping[str, str]) -> None:
        self.is_begun = True
        told = {"content-type": kind, "x-request-id": self.request_id, **headers}
        encoded = [(name.encode("ascii"), value.encode("latin-1", "replace")) for name, value in told.items()]
        await self._send({"type": "http.response.start", "status": status, "headers": encoded})


class Endpoint:
    """An ASGI application of one path: runs ``handle``, and cancels it where the caller goes away."""

    def __init__(self, handle: Callable[[Request, Reply], Awaitable[None]]) -> None:
        self._handle = handle
        self._in_hand = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        reply = Reply(send, reading.request_id(request))
        hold = reading.Hold()
        self._in_hand += 1
        try:
            self._require_room()
            await self._serve(request, reply, hold)
        except Refused as refused:
            await reply.refuse(refusals.of_request(refused))
        except ImrsError as failure:
            await reply.refuse(refusals.of_failure(failure))
        except (ClientDisconnect, OSError):
            return
        except Exception:
            log.exception("door.failed", request_id=reply.request_id)
            await reply.refuse(refusals.of_fault(reply.request_id))
        finally:
            self._in_hand -= 1
            hold.let_go()

    def _require_room(self) -> None:
        if self._in_hand > MOST_AT_ONCE:
            raise Refused(f"{MOST_AT_ONCE} calls are in hand; try again.", status=503, code="overloaded")

    async def _serve(self, request: Request, reply: Reply, hold: reading.Hold) -> None:
        body = await reading.document(request, hold) if request.method == "POST" else {}
        request.state.document = body
        work = asyncio.ensure_future(self._handle(request, reply))
        gone = asyncio.ensure_future(_gone(request.receive))
        try:
            await asyncio.wait((work, gone), return_when=asyncio.FIRST_COMPLETED)
        finally:
            gone.cancel()
            if not work.done():
                work.cancel()
            await asyncio.wait((work, gone))
        if not work.cancelled():
            work.result()


async def _gone(receive: Receive) -> None:
    message: Message = {"type": ""}
    while message["type"] != "http.disconnect":
        message = await receive()


def encode(value: Mapping[str, Any]) -> bytes:
    """As JSON."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")


def _part(body: bytes, *, more: bool) -> Message:
    return {"type": "http.response.body", "body": body, "more_body": more}
