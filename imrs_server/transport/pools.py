"""The pools: what may wait has a bounded one of its own, so that it never holds up Route.

Each pool takes a bounded number of calls. What comes beyond is refused at once, before any work: those who
wait in a queue that grows get their answers when nobody asks for them any more.
"""

from __future__ import annotations

import threading
import time
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

import structlog

from imrs_server.transport.pool import AGAIN_SECONDS, Pool

if TYPE_CHECKING:
    from collections.abc import Mapping

log = structlog.get_logger()

ROUTE_THREADS = 8
ADMIN_THREADS = 8
FEEDBACK_THREADS = 64
SYNC_THREADS = 4
_HEALTH_THREADS = 2
_WATCH_THREADS = 2
_REFLECTION_THREADS = 4
# A call that gRPC cut notices it a moment later, and only then stores what it came to.
_LAST_SECONDS = 5.0

_HOT = frozenset({"Route", "BatchRoute", "DetectTask", "ExplainRoute"})
_SYNC = frozenset({"SyncProvider", "RevertSync", "CheckProvider", "LoadEndpoint", "UnloadEndpoint"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """How many calls may wait for a thread, by kind; how many streams may be open, each with a thread."""

    route: int = 256
    feedback: int = 1024
    admin: int = 64
    streams: int = 32
    completions: int = 256


def _nothing() -> None:
    pass


class Pools:
    """The pool that serves each method; ``route`` is the server's own."""

    def __init__(self, limits: Limits) -> None:
        self.route = Pool("route", ROUTE_THREADS, limits.route)
        self._admin = Pool("admin", ADMIN_THREADS, limits.admin)
        self._feedback = Pool("feedback", FEEDBACK_THREADS, limits.feedback)
        self._streams = Pool("stream", limits.streams, 0)
        self._completions = Pool("complete", limits.completions, 0)
        # Takes streams on and lets go of them at once. The hub counts the open ones.
        self._watch = Pool("watch", _WATCH_THREADS, None)
        self._sync = Pool("sync", SYNC_THREADS, SYNC_THREADS)
        # Who asks whether we live gets an answer, however busy the others are.
        self._health = Pool("health", _HEALTH_THREADS, None)
        self._reflection = Pool("reflection", _REFLECTION_THREADS, None)
        self._all = (
            self.route,
            self._admin,
            self._feedback,
            self._streams,
            self._completions,
            self._watch,
            self._sync,
            self._health,
            self._reflection,
        )

    def of(self, method: str) -> Pool:
        """By full method name, ``/imrs.v1.AdminService/GetAgent``."""
        service, _, name = method.strip("/").rpartition("/")
        if not service.startswith("imrs."):
            return self._health if service.startswith("grpc.health.") else self._reflection
        if name in _HOT:
            return self.route
        if name in _SYNC:
            return self._sync
        if service.endswith("FeedbackService") or name == "RecordDecisions":
            return self._feedback
        return {
            "StreamRoutes": self._streams,
            "Complete": self._completions,
            "Embed": self._completions,
            "WatchAgent": self._watch,
        }.get(name, self._admin)

    @property
    def in_hand(self) -> Mapping[str, int]:
        """Calls in hand, running and waiting, by the name of their pool."""
        return {pool.name: pool.in_hand for pool in self._all}

    def await_turn(self) -> None:
        """Wait for a thread of Route's; not when the pools are closed.

        Meanwhile all pools ask again for threads that the system had no room for: by itself a pool would only
        with its next call, and without any thread, what waits would wait for that.
        """
        turn = threading.Event()
        # A shut pool refuses what comes, and ends what waits.
        with suppress(RuntimeError):
            self.route.submit(_nothing).add_done_callback(lambda _: turn.set())
            its_turn = False
            while not its_turn:
                for pool in self._all:
                    pool.start_missing()
                its_turn = turn.wait(AGAIN_SECONDS)

    def close(self) -> None:
        """Start nothing more, and let what runs end; what does not within seconds goes with the process."""
        for pool in self._all:
            pool.shutdown(wait=False, cancel_futures=True)
        end_time = time.monotonic() + _LAST_SECONDS
        for pool in self._all:
            pool.join_until(end_time)
        left = {name: number for name, number in self.in_hand.items() if number}
        if left:
            log.warning(
                "calls.left", in_hand=left, detail=f"they had not ended {_LAST_SECONDS:g} s after the others"
            )
