"""``python -m benchmarks.paced_routes ADDRESS TOKEN CALLS``: Route, a hundred times a second, come what may.

Prints the seconds that each call took from the moment at which it was due, as JSON.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time

from grpc import aio

from imrs_client import v1 as pb

CONNECTIONS = 8
PAUSE_SECONDS = 0.01
_ALONE = (("grpc.use_local_subchannel_pool", 1),)


async def _paced(address: str, token: str, calls: int) -> list[float]:
    channels = [aio.insecure_channel(address, options=_ALONE) for _ in range(CONNECTIONS)]
    stubs = [pb.RouteServiceStub(each) for each in channels]
    metadata = (("authorization", f"Bearer {token}"),)
    request = pb.RouteRequest(task_type="general")

    async def call(number: int, due: float) -> float:
        await asyncio.sleep(due - time.perf_counter())
        await stubs[number % CONNECTIONS].Route(request, metadata=metadata, timeout=5)
        return time.perf_counter() - due

    for each in stubs:
        await each.Route(request, metadata=metadata, timeout=5)
    start = time.perf_counter() + PAUSE_SECONDS
    took = await asyncio.gather(*[call(number, start + number * PAUSE_SECONDS) for number in range(calls)])
    for channel in channels:
        await channel.close()
    return took


def main() -> None:
    """Call, and say how long it took."""
    address, token, calls = sys.argv[1:]
    print(json.dumps(asyncio.run(_paced(address, token, int(calls)))))


if __name__ == "__main__":
    main()
