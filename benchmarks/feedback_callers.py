"""Callers in a process of their own: ``python -m benchmarks.feedback_callers ADDRESS TOKEN IN_FLIGHT BATCH``.

Message ids come line by line on standard input, each voted on once; so many calls are always in flight, of
one vote each (BATCH 1, SubmitFeedback) or of BATCH. Prints seconds and every call's latency in ms, as JSON.
"""

from __future__ import annotations

import json
import sys
import threading
import time
from itertools import islice
from typing import TYPE_CHECKING, Any

import grpc

from imrs_client.ids import new_id
from imrs_client.v1 import (
    BatchSubmitFeedbackRequest,
    Feedback,
    FeedbackServiceStub,
    SubmitFeedbackRequest,
)

if TYPE_CHECKING:
    from collections.abc import Iterator


def main() -> None:
    """Vote on every message that standard input names."""
    address, token, in_flight, batch = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
    requests = [_vote(line.strip()) for line in sys.stdin]
    with grpc.insecure_channel(address) as channel:
        callers = _Callers(channel, token, requests, batch)
        start = time.perf_counter()
        callers.run(in_flight)
        seconds = time.perf_counter() - start
    print(json.dumps({"seconds": seconds, "latencies_ms": callers.latencies_ms}))


def _vote(message_id: str) -> SubmitFeedbackRequest:
    return SubmitFeedbackRequest(
        message_id=message_id, signal=Feedback.THUMBS_UP, user_id="u", request_id=str(new_id())
    )


class _Callers:
    """Each makes its next call when the one before it is answered; an error ends the measurement."""

    def __init__(
        self, channel: grpc.Channel, token: str, requests: list[SubmitFeedbackRequest], batch: int
    ) -> None:
        stub = FeedbackServiceStub(channel)
        self._metadata = (("authorization", f"Bearer {token}"),)
        self._call: Any = stub.SubmitFeedback if batch == 1 else stub.BatchSubmitFeedback
        self._requests = iter(requests) if batch == 1 else _batched(requests, batch)
        self._lock = threading.Lock()
        self._running = 0
        self._done = threading.Event()
        self.latencies_ms: list[float] = []

    def run(self, in_flight: int) -> None:
        self._running = in_flight
        for _ in range(in_flight):
            self._next()
        self._done.wait()

    def _next(self) -> None:
        with self._lock:
            request = next(self._requests, None)
            if request is None:
                self._running -= 1
                if not self._running:
                    self._done.set()
                return
        start = time.perf_counter()
        call = self._call.future(request, metadata=self._metadata, timeout=30)
        call.add_done_callback(lambda done: self._answered(done, start))

    def _answered(self, call: Any, start: float) -> None:
        self.latencies_ms.append((time.perf_counter() - start) * 1000)
        answer = call.result()
        failed = [each.error.reason for each in getattr(answer, "feedback", [answer]) if each.error.reason]
        if failed:
            sys.exit(f"votes failed: {failed[:3]}")
        self._next()


def _batched(requests: list[SubmitFeedbackRequest], size: int) -> Iterator[BatchSubmitFeedbackRequest]:
    rest = iter(requests)
    while taken := list(islice(rest, size)):
        yield BatchSubmitFeedbackRequest(requests=taken)


if __name__ == "__main__":
    main()
