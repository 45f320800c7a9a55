"""Calls from a process of its own.

``python -m benchmarks.callers ADDRESS METHOD TOKEN COUNT CONNECTIONS STREAMS``.
The request's bytes come on standard input. Prints the seconds that all calls took; one that fails ends it.
"""

from __future__ import annotations

import sys
import threading
import time
from typing import Any

import grpc


def main() -> None:
    """Keep CONNECTIONS x STREAMS calls in flight until COUNT are answered."""
    address, method, token = sys.argv[1:4]
    count, connections, streams = map(int, sys.argv[4:])
    request = sys.stdin.buffer.read()
    metadata = (("authorization", f"Bearer {token}"),) if token else ()
    options = (("grpc.use_local_subchannel_pool", 1),)
    channels = [grpc.insecure_channel(address, options) for _ in range(connections)]
    calls = [each.unary_unary(method, lambda sent: sent, lambda got: got) for each in channels]
    callers = _Callers(count)
    start = time.perf_counter()
    for call in calls * streams:
        callers.begin(lambda call=call: call.future(request, metadata=metadata, timeout=30))
    failed = callers.wait()
    seconds = time.perf_counter() - start
    if failed:
        sys.exit(f"a call failed: {failed}")
    print(seconds)


class _Callers:
    """Each makes its next call when the one before it is answered."""

    def __init__(self, count: int) -> None:
        self._left = count
        self._running = 0
        self._failed = ""
        self._lock = threading.Lock()
        self._done = threading.Event()

    def begin(self, call: Any) -> None:
        with self._lock:
            self._running += 1
        self._next(call)

    def wait(self) -> str:
        """The first failure, empty where there was none."""
        self._done.wait()
        return self._failed

    def _next(self, call: Any) -> None:
        with self._lock:
            if not self._left or self._failed:
                self._running -= 1
                if not self._running:
                    self._done.set()
                return
            self._left -= 1
        call().add_done_callback(lambda done: self._answered(call, done))

    def _answered(self, call: Any, done: grpc.Future[bytes]) -> None:
        error = done.exception()
        if error is not None:
            self._failed = str(error)
        self._next(call)


if __name__ == "__main__":
    main()
