"""Keeps the index fresh: hears of changes, reads them by revision, swaps the state."""

from __future__ import annotations

import gc
import random
import threading
import time
from typing import TYPE_CHECKING

import structlog

from imrs_server.domain import scoring
from imrs_server.index import loader
from imrs_server.storage.listener import Listener

if TYPE_CHECKING:
    from imrs_server.domain.scoring import Scorer
    from imrs_server.index.warm import Index

log = structlog.get_logger()

_SHORTEST_PAUSE_SECONDS = 0.05
_LONGEST_PAUSE_SECONDS = 2.0

# Ratings stream in, and each batch of them means new tables: a thirtieth of the time is theirs. Configuration
# does not wait.
EVIDENCE_PAUSE_SECONDS = 0.2
EVIDENCE_SHARE = 0.03


class Refresher:
    """A thread with a connection of its own. A notification is only a hint: a poll finds what was lost.

    Whatever goes wrong, the last good state stays in use and the thread tries again.
    """

    def __init__(self, dsn: str, index: Index, *, scorer: Scorer = scoring.score) -> None:
        self._dsn = dsn
        self._index = index
        self._scorer = scorer
        self._stopping = threading.Event()
        self._listener: Listener | None = None
        self._failures = 0
        self._learned_time = -EVIDENCE_PAUSE_SECONDS
        self._thread = threading.Thread(target=self._run, name="index", daemon=True)

    def start(self) -> None:
        """Begin; does not wait for the database to be there."""
        self._thread.start()

    def stop(self) -> None:
        """End the thread and wait for it, whatever it is waiting for."""
        self._stopping.set()
        listener = self._listener
        if listener is not None:
            listener.interrupt()
        self._thread.join()

    def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                self._follow()
            except Exception as error:  # noqa: BLE001  (the index outlives whatever a database can answer)
                self._index.connected = False
                if not self._stopping.is_set():
                    self._failed(error)

    def _follow(self) -> None:
        """Read everything, then what changes, until something fails."""
        self._listener = listener = Listener(self._dsn)
        try:
            # From here on ``stop`` can interrupt it; what it has stopped before is not begun.
            if not self._stopping.is_set():
                listener.open()
            while not self._stopping.is_set():
                # Taken once: evidence that this reading leaves has its turn, however long it took.
                pause_seconds, longest = self._pause_seconds(), self._index.poll_seconds
                self._read(listener, learn=pause_seconds <= 0)
                listener.wait(min(pause_seconds, longest) if pause_seconds > 0 else longest)
        finally:
            self._listener = None
            listener.close()

    def _pause_seconds(self) -> float:
        """How long evidence waits yet."""
        state = self._index.current
        effort_seconds = 0.0 if state is None else state.made.effort.seconds
        pause = max(EVIDENCE_PAUSE_SECONDS, effort_seconds / EVIDENCE_SHARE)
        return self._learned_time + pause - time.monotonic()

    def _read(self, listener: Listener, *, learn: bool) -> None:
        before = self._index.current
        # What fails twice on a difference may work on the whole.
        if before is None or self._failures > 1:
            state = loader.read(listener, self._scorer)
            # It stays: to look through it again and again for garbage would stop everything each time.
            gc.freeze()
        else:
            with listener.snapshot() as tx:
                state = loader.next_state(tx, before, learn=learn)
        self._index.confirm(state)
        if before is None or state.evidence is not before.evidence:
            self._learned_time = time.monotonic()
        if self._failures or before is None or before.epoch != state.epoch:
            sizes = {"agents": len(state.agents), "models": len(state.models)}
            log.info("index.loaded", revision=state.revision, **sizes)
        self._failures = 0

    def _failed(self, error: Exception) -> None:
        self._failures += 1
        if self._failures == 1:
            log.warning("index.disconnected", revision=self._index.revision, exc_info=error)
        longest = min(_SHORTEST_PAUSE_SECONDS * 2 ** min(self._failures, 10), _LONGEST_PAUSE_SECONDS)
        self._stopping.wait(random.uniform(_SHORTEST_PAUSE_SECONDS, longest))  # noqa: S311  (spreads retries)
