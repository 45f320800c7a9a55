"""``python -m benchmarks.chat_callers PROTOCOL ADDRESS TOKEN CALLERS CALLS``: how long until answers begin.

PROTOCOL is ``http``, for what has OpenAI's API at ADDRESS, or ``grpc``, for Complete. CALLERS call at a
time, each over a connection of its own, one call after the other; CALLS in all. Prints the seconds from each
request to the first piece of its answer, as JSON.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from typing import TYPE_CHECKING

from grpc import aio

from benchmarks.proxy import BODY
from imrs_client import v1 as pb

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    Caller = Callable[[str, str, int], AsyncIterator[float]]

TIMEOUT_SECONDS = 60
_ALONE = (("grpc.use_local_subchannel_pool", 1),)


async def over_http(address: str, token: str, calls: int) -> AsyncIterator[float]:
    """As one caller."""
    host, _, port = address.rpartition(":")
    body = json.dumps({**BODY, "stream": True}).encode()
    head = (
        f"POST /v1/chat/completions HTTP/1.1\r\nhost: {address}\r\nauthorization: Bearer {token}\r\n"
        f"content-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
    )
    reader, writer = await asyncio.open_connection(host, int(port))
    for _ in range(calls):
        start = time.perf_counter()
        writer.write(head.encode() + body)
        assert (await reader.readline()).split()[1] == b"200", "the call failed"
        while await reader.readline() != b"\r\n":
            pass
        began = 0.0
        # The answer is chunked: the size of a chunk on a line, and then its bytes.
        while size := int(await reader.readline(), 16):
            piece = await reader.readexactly(size + 2)
            if not began and b'"content":"' in piece.replace(b" ", b""):
                began = time.perf_counter() - start
        await reader.readline()
        yield began
    writer.close()


async def over_grpc(address: str, token: str, calls: int) -> AsyncIterator[float]:
    """As one caller."""
    request = pb.CompleteRequest(messages=[pb.ChatMessage(role="user", content="Hello")], stream=True)
    metadata = (("authorization", f"Bearer {token}"),)
    async with aio.insecure_channel(address, options=_ALONE) as channel:
        stub = pb.RouteServiceStub(channel)
        for _ in range(calls):
            start, began = time.perf_counter(), 0.0
            async for event in stub.Complete(request, metadata=metadata, timeout=TIMEOUT_SECONDS):
                if not began and event.WhichOneof("event") == "delta":
                    began = time.perf_counter() - start
            yield began


async def _all(
    caller: Callable[[str, str, int], AsyncIterator[float]],
    address: str,
    token: str,
    callers: int,
    calls: int,
) -> list[float]:
    async def one() -> list[float]:
        return [each async for each in caller(address, token, calls // callers)]

    found = await asyncio.gather(*[one() for _ in range(callers)])
    return [each for seconds in found for each in seconds]


def main() -> None:
    """Call, and say how long it took."""
    protocol, address, token, callers, calls = sys.argv[1:]
    caller = over_grpc if protocol == "grpc" else over_http
    seconds = asyncio.run(_all(caller, address, token, int(callers), int(calls)))
    assert all(seconds), "an answer had no piece"
    print(json.dumps(seconds))


if __name__ == "__main__":
    main()
