"""Tells every watcher of an agent what changed.

One thread looks at what changed, agent by agent, and makes each message once for all who lack it. A few
threads send: to send is to wait until the transport has taken a message, and a caller without room for one
holds up a thread, until the stream is cut. Nothing queues: what a caller lacks is found out when everything
before was taken, and is the whole for who has fallen far behind.
"""

from __future__ import annotations

import threading
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from time import monotonic
from typing import TYPE_CHECKING

import structlog

from imrs_client.ids import new_id
from imrs_server.domain.errors import AgentNotFound, Internal, Overloaded, ServerStopping
from imrs_server.transport.watch.leisure import Leisure
from imrs_server.transport.watch.stream import Stream
from imrs_server.transport.watch.visit import Visit

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    import grpc

    from imrs_server.domain.errors import DomainError
    from imrs_server.index.state import State
    from imrs_server.index.warm import Index
    from imrs_server.storage.index import Key

log = structlog.get_logger()

_TICK_SECONDS = 0.25
_STOP_SECONDS = 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """How often, how long and how many.

    ``evidence_seconds`` are between two differences that only ratings make, and more where to make them for
    all agents would take more than ``evidence_share`` of the time. ``beat_seconds`` are the longest time
    without a word, ``check_seconds`` are between two looks at a caller's token. Who takes nothing for
    ``patience_seconds`` is cut; where all ``senders`` wait for callers, after ``scarce_seconds``. What is
    known of an agent is kept for ``memory_seconds`` after its last watcher.
    """

    evidence_seconds: float = 2.0
    evidence_share: float = 0.25
    beat_seconds: float = 10.0
    check_seconds: float = 10.0
    patience_seconds: float = 30.0
    scarce_seconds: float = 5.0
    memory_seconds: float = 60.0
    senders: int = 16
    most_streams: int = 4096


DEFAULT_PACE = Pace()


class Hub:
    """``join`` takes a new stream at once; the first message follows from another thread.

    ``check`` takes the metadata of a call and raises what is wrong with its token.
    """

    def __init__(self, index: Index, check: Callable[[Any], object], pace: Pace = DEFAULT_PACE) -> None:
        self._index = index
        self._check = check
        self._pace = pace
        self._leisure = Leisure(pace.evidence_share)
        self._visits: dict[Key, Visit] = {}
        self._state: State | None = None
        self._joined: deque[tuple[Key, Stream]] = deque()
        self._left: deque[tuple[Key, Stream]] = deque()
        self._sending: dict[Stream, float] = {}
        # Of positions, payloads and who is busy; never held while anything else is waited for.
        self._lock = threading.Lock()
        self._senders = ThreadPoolExecutor(pace.senders, "watch-sender")
        self._woken = threading.Event()
        # Who joins is seen by the goodbye, or is told that it was said.
        self._joining = threading.Lock()
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name="watch", daemon=True)
        self.streams = 0
        """How many are open."""
        index.listen(self._wake)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """End all streams, so that callers go elsewhere, and then the threads."""
        with self._joining:
            self._stopping = True
        self._woken.set()
        if self._thread.is_alive():
            self._thread.join()
        for stream in list(self._sending):
            stream.cut()
        self._senders.shutdown(wait=False, cancel_futures=True)

    def join(
        self,
        key: Key,
        context: grpc.ServicerContext,
        send: Callable[[bytes | None], None],
        *,
        from_revision: int = 0,
        from_fingerprint: bytes = b"",
    ) -> None:
        """Tell a caller of an agent from now on. Raises ServerStopping and Overloaded."""
        if self._stopping:
            raise ServerStopping  # whatever the number: it sends the caller elsewhere
        if self.streams + len(self._joined) >= self._pace.most_streams:
            raise Overloaded
        stream = Stream(
            context,
            send,
            partial(self._check, context.invocation_metadata()),
            from_revision=from_revision,
            from_fingerprint=from_fingerprint,
            check_seconds=self._pace.check_seconds,
            now=monotonic(),
        )
        with self._joining:
            if self._stopping:
                raise ServerStopping
            self._joined.append((key, stream))
        if not context.add_callback(partial(self._leave, key, stream)):
            self._leave(key, stream)
        self._woken.set()

    def _wake(self) -> None:
        """The index has changed."""
        if not _can_wait(self._index.current, self._state):
            self._woken.set()

    def _leave(self, key: Key, stream: Stream) -> None:
        """The call has ended. Never waits: this is in the one serving thread."""
        stream.gone = True
        self._left.append((key, stream))
        self._woken.set()

    def _run(self) -> None:
        while not self._stopping:
            self._woken.wait(_TICK_SECONDS if self._visits else None)
            self._woken.clear()
            try:
                self._turn()
            except Exception:
                log.exception("watch.failed")
        self._say_goodbye()

    def _turn(self) -> None:
        self._register()
        state, before = self._index.current, self._state
        self._state = state
        if state is None:
            return
        if before is not None and state is not before:
            self._hear(state, before)
        now = monotonic()
        # Those that waited longest first, or they would wait for ever where there is little time.
        for visit in sorted(self._visits.values(), key=lambda each: each.built_at):
            if visit.streams:
                self._visit(visit, state, now)
            elif now - visit.empty_since > self._pace.memory_seconds:
                del self._visits[visit.room.key]
        self._cut(now)

    def _register(self) -> None:
        while self._joined:
            key, stream = self._joined.popleft()
            if stream.gone:
                continue
            visit = self._visits.get(key)
            if visit is None:
                visit = self._visits[key] = Visit(key, self._lock)
            visit.streams.add(stream)
            self.streams += 1
        while self._left:
            key, stream = self._left.popleft()
            visit = self._visits.get(key)
            if visit is not None and stream in visit.streams:
                visit.streams.remove(stream)
                visit.empty_since = monotonic()
                self.streams -= 1

    def _hear(self, state: State, before: State) -> None:
        """A new state: whether it may be more than evidence, and whether tokens were revoked."""
        for visit in self._visits.values():
            if state.epoch != before.epoch:
                visit.renew()
            elif not state.configured_like(before):
                visit.hurry()
            if state.revoked != before.revoked:
                for stream in visit.streams:
                    stream.check_soon()

    def _visit(self, visit: Visit, state: State, now: float) -> None:
        error: DomainError | None = None
        try:
            visit.look(state, now, self._pace.evidence_seconds, self._leisure)
        except AgentNotFound as gone:
            error = gone
        except Exception:
            error_id = str(new_id())
            log.exception("watch.failed", error_id=error_id, agent_id=visit.room.key.agent_id)
            error = Internal(error_id=error_id)
        with self._lock:
            visit.room.forget_payloads()
            for stream in visit.streams:
                stream.error = stream.error or error
                self._offer(visit, stream, now)

    def _offer(self, visit: Visit, stream: Stream, now: float) -> None:
        """Hand a stream to the senders if there is something to do for it. With the lock."""
        if stream.busy or stream.gone:
            return
        if stream.error is None:
            stale, pace = self._index.stale, self._pace
            if stream.lacks(
                visit.room, now, stale=stale, pause=pace.evidence_seconds, beat=pace.beat_seconds
            ):
                stream.load(visit.room.lacking(stream.position, stale=stale))
            elif not stream.is_due_for_check(now):
                return
        stream.busy = True
        self._hand_over(visit, stream)

    def _hand_over(self, visit: Visit, stream: Stream) -> None:
        try:
            self._senders.submit(self._attend, visit, stream)
        except RuntimeError:
            # The senders have stopped.
            stream.gone = True

    def _attend(self, visit: Visit, stream: Stream) -> None:
        """A chunk at a time, so that a large snapshot does not keep small news from others."""
        start = monotonic()
        self._sending[stream] = start
        try:
            more = stream.attend(start)
        except Exception:
            log.exception("watch.failed", agent_id=visit.room.key.agent_id)
            stream.cut()
            stream.gone = True
            more = False
        finally:
            del self._sending[stream]
        with self._lock:
            if stream.gone:
                return
            if more:
                self._hand_over(visit, stream)
                return
            now = monotonic()
            stream.told(now)
            stream.busy = False
            self._offer(visit, stream, now)

    def _cut(self, now: float) -> None:
        """End the streams of callers who have had no room for too long."""
        sending = list(self._sending.items())
        scarce = len(sending) >= self._pace.senders
        patience_seconds = self._pace.scarce_seconds if scarce else self._pace.patience_seconds
        for stream, since in sending:
            if now - since > patience_seconds:
                stream.cut()

    def _say_goodbye(self) -> None:
        """End every stream with an error that sends its caller elsewhere."""
        deadline = monotonic() + _STOP_SECONDS
        while True:
            self._register()
            for visit in self._visits.values():
                with self._lock:
                    for stream in visit.streams:
                        stream.error = stream.error or ServerStopping()
                        self._offer(visit, stream, deadline)
            if not self.streams or monotonic() > deadline:
                return
            self._woken.wait(_TICK_SECONDS)
            self._woken.clear()


def _can_wait(state: State | None, before: State | None) -> bool:
    """Whether nothing but evidence changed, which is early enough seen at the next tick."""
    if state is None or before is None:
        return False
    return state.configured_like(before) and state.revoked is before.revoked
