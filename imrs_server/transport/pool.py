"""A pool of threads for gRPC: what concurrent.futures does for it, at less cost.

Of a future gRPC only wants to be called back. The one of the standard library makes a lock and a condition
for each call and keeps a semaphore of idle threads, which is about a tenth of all that a short call costs
(docs/decisions/0008-threads-of-calls.md).
"""

from __future__ import annotations

import threading
import time
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Any

import structlog

if TYPE_CHECKING:
    from collections.abc import Callable

log = structlog.get_logger()

AGAIN_SECONDS = 1.0
"""So long a pool that the system refused a thread asks for none."""


class Task:
    """One call of a function, and whom to tell when it has ended, however it did."""

    __slots__ = ("_args", "_ended", "_function", "_listeners")

    def __init__(self, function: Callable[..., object], args: tuple[Any, ...]) -> None:
        self._function = function
        self._args = args
        self._ended = False
        self._listeners: deque[Callable[[Task], object]] = deque()

    def add_done_callback(self, hear: Callable[[Task], object]) -> None:
        """Have it called by the thread that ends the task; at once where that has ended."""
        self._listeners.append(hear)
        # Whoever ends it sets this before it looks for listeners: one of the two finds the other.
        if self._ended:
            self._tell()

    def run(self) -> None:
        """Call the function. What it raises is logged, for nobody else is there to be told."""
        try:
            self._function(*self._args)
        except BaseException:  # a thread that died would be missed until none is left
            log.exception("pool.failed")

    def end(self) -> None:
        """Tell the listeners, whether it has run or never will."""
        self._ended = True
        self._tell()

    def _tell(self) -> None:
        while self._listeners:
            try:
                hear = self._listeners.popleft()
            except IndexError:  # the other one was faster
                return
            try:
                hear(self)
            except Exception:  # it is no reason not to tell the others
                log.exception("pool.untold")


# gRPC takes a pool for a method only where it descends from this one.
class Pool(ThreadPoolExecutor):
    """Threads, started as they are needed, that know how many calls are in hand, running and waiting."""

    def __init__(self, name: str, threads: int, waiting: int | None) -> None:
        """``waiting`` is how many calls may wait for a thread; None bounds nothing."""
        super().__init__(threads, name)
        self.name = name
        self._size = threads
        self._most = None if waiting is None else threads + waiting
        # Its length is the count: to append and to pop are each one step that no other thread can split.
        self._in_hand: deque[None] = deque()
        self._tasks: SimpleQueue[Task | None] = SimpleQueue()
        self._started: list[threading.Thread] = []
        self._again_time = 0.0
        self._closed = False
        self._submitting = threading.Lock()

    @property
    def in_hand(self) -> int:
        return len(self._in_hand)

    @property
    def full(self) -> bool:
        """Whether another call is one too many."""
        return self._most is not None and len(self._in_hand) >= self._most

    def submit(self, fn: Callable[..., object], /, *args: Any) -> Task:  # type: ignore[override]
        """Have it called by a thread, in its turn. Raises RuntimeError when the pool was shut down."""
        task = Task(fn, args)
        with self._submitting:
            if self._closed:
                msg = f"the pool {self.name} takes nothing any more"
                raise RuntimeError(msg)
            self._in_hand.append(None)
            self._tasks.put(task)
            self._grow()
        return task

    def start_missing(self) -> None:
        """Start the thread that a call waits for, where the system had no room for it before."""
        with self._submitting:
            if not self._closed:
                self._grow()

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Take nothing more, and end the threads when what waits is done; or never run, as one wishes."""
        with self._submitting:
            self._closed = True
        if cancel_futures:
            self._cancel()
        for _ in self._started:
            self._tasks.put(None)
        if wait:
            for each in self._started:
                each.join()

    def join_until(self, end_time: float) -> None:
        """After ``shutdown``: wait until the threads have ended, or the monotonic clock says so late."""
        for each in self._started:
            each.join(max(end_time - time.monotonic(), 0))

    def _grow(self) -> None:
        """By the thread that a call waits for, if any; whoever calls this holds ``_submitting``."""
        if len(self._started) < min(self._size, len(self._in_hand)) and time.monotonic() >= self._again_time:
            self._start()

    def _start(self) -> None:
        # What never ends must not keep the process from its end.
        thread = threading.Thread(target=self._work, name=f"{self.name}_{len(self._started)}", daemon=True)
        try:
            thread.start()
        except RuntimeError:
            # The system has no room for one more: others take its share, or ``start_missing`` gets it.
            self._again_time = time.monotonic() + AGAIN_SECONDS
            log.warning("pool.short", pool=self.name, threads=len(self._started))
        else:
            self._started.append(thread)

    def _work(self) -> None:
        while (task := self._tasks.get()) is not None:
            task.run()
            self._in_hand.pop()
            task.end()
            # Not until the next one comes: what a call held would stay as long.
            del task

    def _cancel(self) -> None:
        while True:
            try:
                task = self._tasks.get_nowait()
            except Empty:
                return
            if task is not None:
                self._in_hand.pop()
                task.end()


class AtOnce(ThreadPoolExecutor):
    """No threads: what is submitted is done by who submits it. Only for what never waits."""

    def submit(self, fn: Callable[..., object], /, *args: Any) -> Task:  # type: ignore[override]
        task = Task(fn, args)
        task.run()
        task.end()
        return task
