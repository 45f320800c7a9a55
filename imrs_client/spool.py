"""Feedback that does not wait for the service: kept, and sent when it is there."""

from __future__ import annotations

import logging
import math
import time
from dataclasses import dataclass
from threading import TIMEOUT_MAX, Condition, Thread
from typing import TYPE_CHECKING, Any, Final, Self

from imrs_client.ids import new_id
from imrs_client.spool_delivery import Delivery
from imrs_client.spool_holds import TRIES
from imrs_client.spool_store import SpoolError, Store
from imrs_client.v1 import Feedback, SubmitFeedbackRequest

if TYPE_CHECKING:
    import os
    from collections.abc import Callable

    from imrs_client.client import ImrsClient
    from imrs_client.errors import ImrsError

__all__ = ["FeedbackSpool", "SpoolError", "SpoolStatus"]

log = logging.getLogger(__name__)

# A comment of 4,000 characters is at most 16,000 bytes; what is far longer, no service takes.
_MOST_BYTES: Final = 65_536
_AFTER_A_FAULT_SECONDS: Final = 1.0
# A call that is cancelled ends at once; what is longer than this hangs somewhere else.
_LAST_SECONDS: Final = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class SpoolStatus:
    """How a spool is. ``last_error`` is the newest one, None where nothing has failed.

    ``delivered`` votes the service has, ``refused`` ones it would not have, ``dropped`` ones found no room,
    ``waiting`` ones are on their way, ``set_aside`` ones the service fails at (INTERNAL), or cannot read
    (INVALID_ARGUMENT of the whole call).
    """

    waiting: int
    set_aside: int
    delivered: int
    refused: int
    dropped: int
    last_error: Exception | None


class FeedbackSpool:
    """Takes votes without waiting for the service, and sends each so that it counts once.

    With ``path`` they are kept in that file, one process a file, and what is there from before is sent too;
    else in memory. ``sync`` has each on the disk when ``submit`` returns (against a loss of power; without it
    the file outlives only the process, and ``submit`` is faster). At most ``capacity`` votes are kept.
    ``on_refused`` is called, in the spool's thread, with each vote that the service will not have.
    A vote on a message that is not known yet is tried for ``patience_seconds``. One that the service failed
    at ``tries`` times (12 take two to three minutes) while it took others is set aside and holds up no other:
    it stays in the file, and is tried anew by the next spool on it. Use it in a ``with`` statement, or
    ``start`` and ``close`` it. The client must outlive it. Safe to share between threads.
    """

    def __init__(
        self,
        client: ImrsClient,
        path: str | os.PathLike[str] | None = None,
        *,
        sync: bool = True,
        capacity: int = 100_000,
        on_refused: Callable[[SubmitFeedbackRequest, ImrsError], object] | None = None,
        patience_seconds: float = 30.0,
        tries: int = TRIES,
    ) -> None:
        """Raises SpoolError where the file is in use or no spool."""
        self._store = Store(path, sync=sync)
        self._keeps = path is not None
        self._capacity = capacity
        self._delivery = Delivery(
            client,
            self._store,
            refuse=on_refused or _say_refused,
            patience_seconds=patience_seconds,
            tries=tries,
        )
        self._changed = Condition()
        self._news = False
        self._deadline: float | None = None
        self._last_event_ns = 0
        self._dropped = 0
        self._thread = Thread(target=self._run, name="imrs feedback spool", daemon=True)

    def rate(
        self,
        message_id: str,
        rating: float | None = None,
        *,
        signal: Feedback.Signal.ValueType = Feedback.SIGNAL_UNSPECIFIED,
        **fields: Any,
    ) -> bool:
        """Keep a vote: the arguments are those of ``client.rate``, the answer that of ``submit``."""
        return self.submit(
            SubmitFeedbackRequest(message_id=message_id, rating=rating, signal=signal, **fields)
        )

    def submit(self, request: SubmitFeedbackRequest) -> bool:
        """Keep a vote, to be sent soon; whether there was room for it.

        What it lacks is filled in now: ``request_id``, by which a repeat is known, and ``event_time``. Raises
        ValueError for one that is too large for any service, and SpoolError where the file fails.
        """
        kept = SubmitFeedbackRequest()
        kept.CopyFrom(request)
        kept.request_id = kept.request_id or str(new_id())
        with self._changed:
            if self._deadline is not None:
                raise ValueError("the spool is closed")
            if not kept.HasField("event_time"):
                self._stamp(kept)
            content = kept.SerializeToString()
            if len(content) > _MOST_BYTES:
                raise ValueError(f"a vote of {len(content)} bytes is too large; {_MOST_BYTES} is the most")
            if self._store.count + self._store.aside >= self._capacity:
                self._dropped += 1
                return False
            self._store.put(kept.message_id, content)
            self._news = True
            self._changed.notify_all()
        return True

    @property
    def status(self) -> SpoolStatus:
        delivery = self._delivery
        return SpoolStatus(
            waiting=self._store.count,
            set_aside=self._store.aside,
            delivered=delivery.delivered,
            refused=delivery.refused,
            dropped=self._dropped,
            last_error=delivery.last_error,
        )

    def flush(self, timeout_seconds: float = 5) -> int:
        """Wait until no vote waits; how many are not sent, with those that are set aside."""
        with self._changed:
            self._changed.wait_for(lambda: self._store.count == 0, timeout_seconds)
        return self._store.count + self._store.aside

    def start(self) -> None:
        """Begin to send, in a thread."""
        self._thread.start()

    def close(self, timeout_seconds: float = 5) -> int:
        """Send what waits, for so long at most; how many votes are left.

        A file keeps these for the next spool on it, without one they are lost.
        """
        deadline = time.monotonic() + timeout_seconds
        with self._changed:
            if self._deadline is None:
                self._deadline = deadline
                self._delivery.hurry()
            self._changed.notify_all()
        if self._thread.is_alive():
            self._thread.join(timeout_seconds)
            self._delivery.cancel()
            self._thread.join(_LAST_SECONDS)
        self._store.close()
        left = self._store.count + self._store.aside
        if left and not self._keeps:
            log.warning("%d votes were not sent, and are lost; last error: %s", left, self.status.last_error)
        return left

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _stamp(self, request: SubmitFeedbackRequest) -> None:
        """The service orders votes by when they were given, so the next is never given before the last."""
        now_ns = time.time_ns() // 1000 * 1000
        self._last_event_ns = now_ns = max(now_ns, self._last_event_ns + 1000)
        request.event_time.FromNanoseconds(now_ns)

    def _run(self) -> None:
        while not self._ended:
            try:
                sent = self._delivery.step(self._left_seconds)
            except Exception as error:
                # Such as a disk that is full: the votes are there yet, and a repeat counts once.
                log.exception("sending feedback failed; it is tried again")
                self._delivery.last_error = error
                self._delivery.not_before = time.monotonic() + _AFTER_A_FAULT_SECONDS
                sent = True
            with self._changed:
                self._changed.notify_all()
                self._rest(idle=not sent)

    def _rest(self, *, idle: bool) -> None:
        """Wait for what there is to wait for: the service, a vote that is held back, or a new one."""
        closing = self._deadline
        away_seconds = self._delivery.not_before - time.monotonic()
        if away_seconds > 0:
            limit = min(away_seconds, self._left_seconds)
            self._changed.wait_for(lambda: self._deadline != closing, limit)
        elif idle and not self._ended:
            limit = min(self._delivery.next_seconds, self._left_seconds, TIMEOUT_MAX)
            self._changed.wait_for(lambda: self._news or self._deadline != closing, limit)
        self._news = False

    @property
    def _left_seconds(self) -> float:
        """Until the spool must be closed."""
        return math.inf if self._deadline is None else self._deadline - time.monotonic()

    @property
    def _ended(self) -> bool:
        return self._deadline is not None and (self._store.count == 0 or self._left_seconds <= 0)


def _say_refused(request: SubmitFeedbackRequest, error: ImrsError) -> None:
    log.warning("a vote on message %s was refused: %s", request.message_id, error)
