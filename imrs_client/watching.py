"""The thread that keeps the snapshot of an agent fresh, through whatever happens to the service."""

from __future__ import annotations

import logging
import time
from contextlib import suppress
from threading import Event
from typing import TYPE_CHECKING, Any

from imrs_client.pauses import Pauses
from imrs_client.snapshot import Snapshot, SnapshotGap, apply
from imrs_client.v1 import AgentSnapshot, WatchAgentRequest

if TYPE_CHECKING:
    from collections.abc import Callable

    from imrs_client.client import ImrsClient

log = logging.getLogger(__name__)


class Watch:
    """``run`` belongs into a thread. ``hear`` gets each snapshot, heartbeats included, ``fail`` each error.

    After a failure it resumes from the revision that it has, after a pause that grows while failures go on.
    A stream that says nothing for ``silence_seconds`` is given up when ``cut_silent`` looks.
    """

    def __init__(
        self,
        client: ImrsClient,
        agent_id: str,
        *,
        hear: Callable[[Snapshot], None],
        fail: Callable[[Exception], None],
        silence_seconds: float,
    ) -> None:
        self._client = client
        self._agent_id = agent_id
        self._hear = hear
        self._fail = fail
        self._silence_seconds = silence_seconds
        self._snapshot: Snapshot | None = None
        self._pauses = Pauses()
        self._closing = Event()
        self._stream: Any = None
        self._heard_at = time.monotonic()
        self._said = ""
        self.connected = False

    def run(self) -> None:
        while not self._closing.is_set():
            error: Exception | None = None
            try:
                self._follow()
            except SnapshotGap:
                self._snapshot = None
            except Exception as found:  # noqa: BLE001  (such as a token that cannot be fetched: later, perhaps)
                error = found
                if not self._closing.is_set():
                    self._say(found)
                    self._fail(found)
            self.connected = False
            self._closing.wait(self._pauses.after(error))

    def forget(self) -> None:
        """Ask for the whole next time."""
        self._snapshot = None

    def cut_silent(self) -> None:
        """Give up a stream that was silent for too long: its server may hang, another one may not."""
        stream = self._stream
        if stream is not None and time.monotonic() - self._heard_at > self._silence_seconds:
            stream.cancel()

    def close(self) -> None:
        """End the thread soon."""
        self._closing.set()
        stream = self._stream
        if stream is not None:
            with suppress(Exception):
                stream.cancel()

    def _say(self, error: Exception) -> None:
        """Once, until it has worked again."""
        if str(error) != self._said:
            self._said = str(error)
            log.warning("agent %r cannot be watched, it is tried again: %s", self._agent_id, error)

    def _follow(self) -> None:
        """Apply what one stream sends until it ends."""
        known = self._snapshot
        request = WatchAgentRequest(
            agent_id=self._agent_id,
            from_revision=known.revision if known else 0,
            from_fingerprint=known.fingerprint if known else b"",
        )
        self._heard_at = time.monotonic()
        stream = self._stream = self._client.route.WatchAgent(request)
        try:
            if self._closing.is_set():
                stream.cancel()
            chunks: list[AgentSnapshot] = []
            for piece in stream:
                self._heard_at = time.monotonic()
                self.connected = True
                chunks = self._take(piece, chunks)
        finally:
            self._stream = None
            stream.cancel()

    def _take(self, piece: AgentSnapshot, chunks: list[AgentSnapshot]) -> list[AgentSnapshot]:
        """The chunks that wait for more, after this one."""
        if piece.kind != AgentSnapshot.HEARTBEAT:
            chunks = [*chunks, piece] if piece.chunk_index else [piece]
            if not piece.last_chunk:
                return chunks
            pieces = chunks
        else:
            pieces = [piece]
        try:
            self._snapshot = apply(self._snapshot, pieces)
        except SnapshotGap:
            raise
        except Exception as error:
            log.exception("what came of agent %r cannot be read; the whole is asked for", self._agent_id)
            raise SnapshotGap(piece.base_revision, None) from error
        self._pauses.reset()
        self._said = ""
        self._hear(self._snapshot)
        return chunks if piece.kind == AgentSnapshot.HEARTBEAT else []
