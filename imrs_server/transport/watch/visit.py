"""A watched agent as the hub goes around: who watches, and when it was looked at."""

from __future__ import annotations

from time import monotonic, thread_time
from typing import TYPE_CHECKING

from imrs_server.domain.errors import AgentNotFound
from imrs_server.index import view
from imrs_server.transport.watch.room import Room

if TYPE_CHECKING:
    from threading import Lock

    from imrs_server.index.state import State
    from imrs_server.index.tables import AgentTables
    from imrs_server.storage.index import Key
    from imrs_server.transport.watch.leisure import Leisure
    from imrs_server.transport.watch.stream import Stream


class Visit:
    """All but the room belongs to the one thread that looks; the room is guarded by ``lock``."""

    def __init__(self, key: Key, lock: Lock) -> None:
        self.room = Room(key)
        self.streams: set[Stream] = set()
        self.empty_since = 0.0
        self._lock = lock
        self._tables: AgentTables | None = None
        self._seen: State | None = None
        self._built_at = float("-inf")
        self._urgent = True

    def hurry(self) -> None:
        """Something else than evidence may have changed."""
        self._urgent = True

    def renew(self) -> None:
        """Forget what the agent was like: revisions mean something else now."""
        self.room, self._tables, self._urgent = Room(self.room.key), None, True

    @property
    def built_at(self) -> float:
        """When the newest content was made."""
        return self._built_at

    def look(self, state: State, now: float, evidence_seconds: float, leisure: Leisure) -> None:
        """See what the agent is like, unless that is known, or what may be new is only evidence and can wait.

        Raises AgentNotFound.
        """
        waits = now - self._built_at < evidence_seconds
        if self._seen is state or (waits and not self._urgent):
            return
        tables = state.agent(*self.room.key)
        if tables is None:
            raise AgentNotFound(agent_id=self.room.key.agent_id)
        self._urgent = False
        known = self._tables
        configured = known is not None and (known is tables or view.configured_alike(known, tables))
        if known is not None and configured:
            if known is tables or view.learned_alike(known, tables):
                with self._lock:
                    self.room.confirm(state.revision)
                self._tables, self._seen = tables, state
                return
            if waits or not leisure.allows(monotonic()):
                return
        start = thread_time()
        content = self.room.build(tables, same_models=configured)
        fingerprint = content.fingerprint
        with self._lock:
            self.room.accept(content, fingerprint, state.revision)
        leisure.spend(thread_time() - start)
        self._tables, self._seen, self._built_at = tables, state, now
