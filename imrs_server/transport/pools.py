"""Thread pools: what may wait has a bounded pool of its own, so that it never holds up Route."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

ROUTE_THREADS = 8
ADMIN_THREADS = 8
FEEDBACK_THREADS = 64
STREAM_THREADS = 32
SYNC_THREADS = 4

_HOT = frozenset({"Route", "BatchRoute", "DetectTask", "ExplainRoute"})
_SYNC = frozenset({"SyncProvider", "RevertSync", "CheckProvider"})


class Pools:
    """The pool that serves each method; None means the server's own small one, which is Route's."""

    def __init__(self) -> None:
        self.route = ThreadPoolExecutor(ROUTE_THREADS, "route")
        self._admin = ThreadPoolExecutor(ADMIN_THREADS, "admin")
        self._feedback = ThreadPoolExecutor(FEEDBACK_THREADS, "feedback")
        self._streams = ThreadPoolExecutor(STREAM_THREADS, "stream")
        self._sync = ThreadPoolExecutor(SYNC_THREADS, "sync")

    def of(self, method: str) -> ThreadPoolExecutor | None:
        """By full method name, ``/imrs.v1.AdminService/GetAgent``."""
        service, _, name = method.strip("/").rpartition("/")
        if name in _HOT:
            return None
        if name in _SYNC:
            return self._sync
        if service.endswith("FeedbackService"):
            return self._feedback
        return self._streams if name == "StreamRoutes" else self._admin

    def close(self) -> None:
        """Let what runs end, and start nothing more."""
        for pool in (self.route, self._admin, self._feedback, self._streams, self._sync):
            pool.shutdown(wait=False, cancel_futures=True)
