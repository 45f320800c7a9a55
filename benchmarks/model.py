"""A model in OpenAI's shape that answers without thinking, to measure what stands before models with.

``python -m benchmarks.model``: prints its port and serves until it is killed. A request for a stream gets as
many pieces as its ``max_tokens`` says, two where it says nothing; one every ``seed`` milliseconds, all of
them at once where that is not given. ``GET /speaking`` tells how many of those with pauses are under way.
"""

from __future__ import annotations

import asyncio
import json
import time
from typing import Any

_HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
_ID = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1_700_000_000, "model": "model"}
_USAGE = {"prompt_tokens": 9, "completion_tokens": 2, "total_tokens": 11}
_ANSWER = json.dumps(
    {
        **_ID,
        "object": "chat.completion",
        "choices": [
            {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "Hello."}}
        ],
        "usage": _USAGE,
    }
).encode()
_DOCUMENT = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n"
_WHOLE = _DOCUMENT % len(_ANSWER) + _ANSWER


def _event(delta: dict[str, Any] | None, finish_reason: str | None = None, **more: Any) -> bytes:
    choices = [] if delta is None else [{"index": 0, "delta": delta, "finish_reason": finish_reason}]
    return _chunk(b"data: " + json.dumps({**_ID, "choices": choices, **more}).encode() + b"\n\n")


def _chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


WORD = "Hello "
_PIECE = _event({"role": "assistant", "content": WORD})
_END = _event({}, "stop") + _event(None, usage=_USAGE) + _chunk(b"data: [DONE]\n\n") + b"0\r\n\r\n"


class _Connection(asyncio.Protocol):
    speaking = 0

    def __init__(self) -> None:
        self._received = b""
        self._tasks: set[asyncio.Task[None]] = set()
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def connection_lost(self, _error: Exception | None) -> None:
        for each in self._tasks:
            each.cancel()

    def data_received(self, data: bytes) -> None:
        self._received += data
        while (end := self._received.find(b"\r\n\r\n")) >= 0:
            head = self._received[:end].lower()
            length = int(head.partition(b"content-length:")[2].partition(b"\r\n")[0] or 0)
            whole = end + 4 + length
            if len(self._received) < whole:
                return
            asked = json.loads(self._received[end + 4 : whole] or b"{}")
            self._received = self._received[whole:]
            if head.startswith(b"get "):
                self._tell()
            else:
                self._answer(asked)

    def _tell(self) -> None:
        assert self._transport is not None
        told = json.dumps({"speaking": _Connection.speaking}).encode()
        self._transport.write(_DOCUMENT % len(told) + told)

    def _answer(self, asked: dict[str, Any]) -> None:
        assert self._transport is not None
        count, pause_ms = asked.get("max_tokens") or 2, asked.get("seed")
        if not asked.get("stream"):
            self._transport.write(_WHOLE)
        elif not pause_ms:
            self._transport.write(_HEAD + _PIECE * count + _END)
        else:
            task = asyncio.ensure_future(self._speak(count, pause_ms / 1000))
            self._tasks.add(task)
            task.add_done_callback(self._ended)
            _Connection.speaking += 1

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        _Connection.speaking -= 1

    async def _speak(self, count: int, pause_seconds: float) -> None:
        assert self._transport is not None
        self._transport.write(_HEAD)
        due = time.perf_counter()
        for _ in range(count):
            self._transport.write(_PIECE)
            # By the clock: answers that began at different moments go on at different moments.
            due += pause_seconds
            await asyncio.sleep(due - time.perf_counter())
        self._transport.write(_END)


async def _serve() -> None:
    server = await asyncio.get_running_loop().create_server(_Connection, "127.0.0.1", 0, backlog=1024)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


def main() -> None:
    """Serve until killed."""
    asyncio.run(_serve())


if __name__ == "__main__":
    main()
