"""Many streams of WatchAgent in one process.

``python -m benchmarks.watchers ADDRESS TOKEN STREAMS CONNECTIONS``.
Prints ``ready`` when every stream has the whole, then for each further revision that every stream has heard
of a line ``REVISION SECONDS``: when, by the clock of the machine, the last one heard of it.
"""

from __future__ import annotations

import asyncio
import sys
import time
from collections import Counter

import grpc.aio

from imrs_client.v1 import AgentSnapshot, RouteServiceStub, WatchAgentRequest


async def watch(address: str, token: str, streams: int, connections: int) -> None:
    """Listen until killed."""
    heard: Counter[int] = Counter()
    options = (("grpc.use_local_subchannel_pool", 1),)
    channels = [grpc.aio.insecure_channel(address, options) for _ in range(connections)]
    metadata = (("authorization", f"Bearer {token}"),)
    whole = 0

    async def listen(channel: grpc.aio.Channel) -> None:
        nonlocal whole
        stub = RouteServiceStub(channel)
        async for piece in stub.WatchAgent(WatchAgentRequest(), metadata=metadata):
            if not piece.last_chunk or piece.kind == AgentSnapshot.HEARTBEAT:
                continue
            if piece.kind == AgentSnapshot.FULL:
                whole += 1
                if whole == streams:
                    print("ready", flush=True)
                continue
            heard[piece.revision] += 1
            if heard[piece.revision] == streams:
                print(piece.revision, time.time(), flush=True)

    await asyncio.gather(*(listen(channels[number % connections]) for number in range(streams)))


if __name__ == "__main__":
    asyncio.run(watch(sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])))
