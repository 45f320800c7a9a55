"""Tells every watcher of an agent what changed.

One thread looks at what changed, agent by agent, and makes each message once for all who lack it. A few
threads send: to send is to wait until the transport has taken a message, and a caller without room for one
holds up a thread, until he is cut. Nothing queues for a caller: what he lacks is found out when he has taken
what he was sent, and is the whole where he has fallen far behind.
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
from imrs_server.index import view
from imrs_server.transport.watch.room import Room
from imrs_server.transport.watch.stream import Stream

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    import grpc

    from imrs_server.domain.errors import DomainError
    from imrs_server.index.state import State
    from imrs_server.index.tables import AgentTables
    from imrs_server.index.warm import Index
    from imrs_server.storage.index import Key

log = structlog.get_logger()

_TICK_SECONDS = 0.25
_STOP_SECONDS = 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """How often, how long and how many; seconds.

    ``evidence`` is between two differences that only ratings make, ``beat`` the longest time without a word.
    A caller who takes nothing for ``patience`` is cut; where all ``senders`` wait for callers, after
    ``short_patience``. What is known of an agent is kept for ``memory`` after its last watcher.
    """

    evidence: float = 2.0
    beat: float = 10.0
    patience: float = 30.0
    short_patience: float = 5.0
    memory: float = 60.0
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
        self._visits: dict[Key, _Visit] = {}
        self._state: State | None = None
        self._joined: deque[tuple[Key, Stream]] = deque()
        self._left: deque[tuple[Key, Stream]] = deque()
        self._sending: dict[Stream, float] = {}
        # Of positions, payloads and who is busy; nobody waits for anything else while he holds it.
        self._lock = threading.Lock()
        self._senders = ThreadPoolExecutor(pace.senders, "watch-sender")
        self._woken = threading.Event()
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name="watch", daemon=True)
        self.streams = 0
        """How many are open."""
        index.listen(self._woken.set)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """End all streams, so that callers go elsewhere, and then the threads."""
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
            raise ServerStopping
        if self.streams + len(self._joined) >= self._pace.most_streams:
            raise Overloaded
        stream = Stream(
            context,
            send,
            partial(self._check, context.invocation_metadata()),
            from_revision=from_revision,
            from_fingerprint=from_fingerprint,
            now=monotonic(),
        )
        self._joined.append((key, stream))
        if not context.add_callback(partial(self._leave, key, stream)):
            self._leave(key, stream)
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
        if state is not before:
            self._hear(state, before)
        now = monotonic()
        for visit in list(self._visits.values()):
            if visit.streams:
                self._visit(visit, state, now)
            elif now - visit.empty_since > self._pace.memory:
                del self._visits[visit.room.key]
        self._cut(now)

    def _register(self) -> None:
        while self._joined:
            key, stream = self._joined.popleft()
            visit = self._visits.get(key)
            if visit is None:
                visit = self._visits[key] = _Visit(Room(key))
            visit.streams.add(stream)
            self.streams += 1
        while self._left:
            key, stream = self._left.popleft()
            visit = self._visits.get(key)
            if visit is not None and stream in visit.streams:
                visit.streams.remove(stream)
                visit.empty_since = monotonic()
                self.streams -= 1

    def _hear(self, state: State, before: State | None) -> None:
        """A new state: whether it may be more than evidence, and whether tokens were revoked."""
        if before is None:
            return
        if state.epoch != before.epoch:
            # Revisions mean something else now, so all is said anew.
            for visit in self._visits.values():
                visit.renew()
        if not state.configured_like(before):
            for visit in self._visits.values():
                visit.urgent = True
        if state.revoked != before.revoked:
            for visit in self._visits.values():
                for stream in visit.streams:
                    stream.check_soon()

    def _visit(self, visit: _Visit, state: State, now: float) -> None:
        error = None
        if visit.is_due(state, now, self._pace.evidence):
            try:
                error = self._look(visit, state, now)
            except Exception:
                error_id = str(new_id())
                log.exception("watch.failed", error_id=error_id, agent_id=visit.room.key.agent_id)
                error = Internal(error_id=error_id)
        stale = self._index.stale
        with self._lock:
            visit.room.forget_payloads()
            for stream in visit.streams:
                stream.error = error or stream.error
                self._offer(visit, stream, now, stale=stale)

    def _look(self, visit: _Visit, state: State, now: float) -> DomainError | None:
        """See what the agent is like; what ends its streams."""
        room = visit.room
        tables = state.agent(*room.key)
        if tables is None:
            return AgentNotFound(agent_id=room.key.agent_id)
        if tables is not visit.tables:
            calm = visit.tables is not None and view.configured_alike(visit.tables, tables)
            if calm and now - visit.built_at < self._pace.evidence:
                visit.urgent = False
                return None
            content = room.build(tables)
            fingerprint = content.fingerprint
            with self._lock:
                room.accept(content, fingerprint, state.revision)
            visit.tables, visit.built_at = tables, now
        else:
            with self._lock:
                room.confirm(state.revision)
        visit.seen, visit.urgent = state, False
        return None

    def _offer(self, visit: _Visit, stream: Stream, now: float, *, stale: bool) -> None:
        """Hand a stream to the senders if there is something to do for it. With the lock."""
        if stream.busy or stream.gone:
            return
        pace = self._pace
        if stream.error is None and not visit.room.revision:
            return
        if stream.error is None and stream.lacks(
            visit.room, now, stale=stale, pause_seconds=pace.evidence, beat_seconds=pace.beat
        ):
            stream.load(visit.room.lacking(stream.position, stale=stale))
        elif stream.error is None and not stream.is_due_for_check(now):
            return
        stream.busy = True
        self._hand_over(visit, stream)

    def _hand_over(self, visit: _Visit, stream: Stream) -> None:
        try:
            self._senders.submit(self._attend, visit, stream)
        except RuntimeError:
            # The senders have stopped.
            stream.gone = True

    def _attend(self, visit: _Visit, stream: Stream) -> None:
        """A chunk at a time, so that a large snapshot does not keep small news from others."""
        start = monotonic()
        self._sending[stream] = start
        try:
            more = stream.attend(start)
        except Exception:
            log.exception("watch.failed", agent_id=visit.room.key.agent_id)
            stream.cut()
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
            self._offer(visit, stream, now, stale=self._index.stale)

    def _cut(self, now: float) -> None:
        """End the streams of callers who have had no room for too long."""
        sending = list(self._sending.items())
        scarce = len(sending) >= self._pace.senders
        patience_seconds = self._pace.short_patience if scarce else self._pace.patience
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
                        self._offer(visit, stream, deadline, stale=False)
            if not self.streams or monotonic() > deadline:
                return
            self._woken.wait(_TICK_SECONDS)
            self._woken.clear()


class _Visit:
    """A room with its streams, and when and as what it was looked at."""

    __slots__ = ("built_at", "empty_since", "room", "seen", "streams", "tables", "urgent")

    def __init__(self, room: Room) -> None:
        self.room = room
        self.streams: set[Stream] = set()
        self.tables: AgentTables | None = None
        self.seen: State | None = None
        self.built_at = float("-inf")
        self.empty_since = 0.0
        self.urgent = True

    def renew(self) -> None:
        """Forget what the agent was like."""
        self.room, self.tables, self.urgent = Room(self.room.key), None, True

    def is_due(self, state: State, now: float, evidence_seconds: float) -> bool:
        """Evidence alone may wait."""
        if self.seen is state:
            return False
        return self.urgent or now - self.built_at >= evidence_seconds
