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
        if self._seen is state or not (self._urgent or self._has_time(now, evidence_seconds, leisure)):
            return
        start = thread_time()
        tables = state.agent(*self.room.key)
        if tables is None:
            raise AgentNotFound(agent_id=self.room.key.agent_id)
        known = self._tables
        configured = known is not None and (known is tables or view.configured_alike(known, tables))
        if known is not None and configured and (known is tables or view.learned_alike(known, tables)):
            with self._lock:
                self.room.confirm(state.revision)
        elif configured and self._urgent and not self._has_time(now, evidence_seconds, leisure):
            # What changed was not this agent's.
            self._urgent = False
            return
        else:
            self._build(tables, state.revision, same_models=configured)
            self._built_at = now
        self._tables, self._seen, self._urgent = tables, state, False
        if configured:
            leisure.spend(thread_time() - start)

    def _has_time(self, now: float, evidence_seconds: float, leisure: Leisure) -> bool:
        return now - self._built_at >= evidence_seconds and leisure.allows(monotonic())

    def _build(self, tables: AgentTables, revision: int, *, same_models: bool) -> None:
        content = self.room.build(tables, same_models=same_models)
        fingerprint = content.fingerprint
        with self._lock:
            self.room.accept(content, fingerprint, revision)
