"""``python -m benchmarks.stream_callers ADDRESS TOKEN STREAMS``: hold so many answers open.

Ten pieces a second come of each. Says ``ready`` when all of them speak, goes on until its input is closed,
and says how many pieces came a second since. Ends with an error where one of them ended.
"""

from __future__ import annotations

import asyncio
import sys
import time

from grpc import aio

from imrs_client import v1 as pb

# They spread over the workers, a connection to one each.
CONNECTIONS = 20
PAUSE_MS = 100
PIECES = 50_000
_ALONE = (("grpc.use_local_subchannel_pool", 1),)


class Streams:
    """Answers under way; ``pieces`` is what came of all."""

    def __init__(self, address: str, token: str, streams: int) -> None:
        self._channels = [aio.insecure_channel(address, options=_ALONE) for _ in range(CONNECTIONS)]
        self._metadata = (("authorization", f"Bearer {token}"),)
        self._streams = streams
        self._speaking = 0
        self.all_speak = asyncio.Event()
        self.pieces = 0

    async def listen(self) -> None:
        """To all of them; raises where one ends."""
        await asyncio.gather(*[self._one(number) for number in range(self._streams)])

    async def _one(self, number: int) -> None:
        parameters = pb.Parameters(max_output_tokens=PIECES)
        parameters.extra["seed"] = PAUSE_MS
        request = pb.CompleteRequest(
            messages=[pb.ChatMessage(role="user", content="Hello")],
            route=pb.RouteRequest(parameters=parameters),
            stream=True,
        )
        # They begin at moments spread over ten pauses, one after the other also within a pause, as people do
        # who do not know of each other.
        await asyncio.sleep((number / self._streams + number % 10) * PAUSE_MS / 1000)
        stub = pb.RouteServiceStub(self._channels[number % CONNECTIONS])
        is_first = True
        async for event in stub.Complete(request, metadata=self._metadata):
            if event.WhichOneof("event") != "delta":
                continue
            self.pieces += 1
            if is_first:
                is_first = False
                self._speaking += 1
                if self._speaking == self._streams:
                    self.all_speak.set()
        raise RuntimeError("an answer has ended")


async def _hold(address: str, token: str, streams: int) -> None:
    held = Streams(address, token, streams)
    listening = asyncio.ensure_future(held.listen())
    await asyncio.wait(
        (listening, asyncio.ensure_future(held.all_speak.wait())), return_when=asyncio.FIRST_COMPLETED
    )
    if listening.done():
        listening.result()
    print("ready", flush=True)
    pieces, start = held.pieces, time.perf_counter()
    closed = asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
    await asyncio.wait((listening, asyncio.ensure_future(closed)), return_when=asyncio.FIRST_COMPLETED)
    if listening.done():
        listening.result()
    print((held.pieces - pieces) / (time.perf_counter() - start), flush=True)
    listening.cancel()


def main() -> None:
    """Hold them."""
    address, token, streams = sys.argv[1:]
    asyncio.run(_hold(address, token, int(streams)))


if __name__ == "__main__":
    main()
