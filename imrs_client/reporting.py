"""Decisions taken in the client, on their way to the service."""

from __future__ import annotations

import logging
import time
from collections import deque
from itertools import count
from threading import Lock
from typing import TYPE_CHECKING, Final

import grpc

from imrs_client.errors import ImrsError
from imrs_client.pauses import Pauses
from imrs_client.v1 import RecordDecisionsRequest

if TYPE_CHECKING:
    from imrs_client.client import ImrsClient
    from imrs_client.local_decision import LocalDecision

log = logging.getLogger(__name__)

MOST_AT_ONCE: Final = 1000
# One decision has at most 100 fallbacks of 255 characters each; a server takes 4 MiB.
_MOST_BYTES: Final = 1 << 20
# After so many tries, in a quarter of a minute, it may be the batch that the service fails at.
TRIES: Final = 10
# Nothing that waiting changes. A token can be renewed, so UNAUTHENTICATED is not among them.
REFUSALS: Final = frozenset(
    {
        grpc.StatusCode.INVALID_ARGUMENT,
        grpc.StatusCode.PERMISSION_DENIED,
        grpc.StatusCode.UNIMPLEMENTED,
        grpc.StatusCode.NOT_FOUND,
        grpc.StatusCode.FAILED_PRECONDITION,
    }
)
# A fault of the service, but perhaps one that shows only with what it was sent.
FAULTS: Final = frozenset({grpc.StatusCode.INTERNAL, grpc.StatusCode.UNKNOWN, grpc.StatusCode.DATA_LOSS})


class _Batch:
    """At most ``most`` decisions that go together. What many of them were asked goes with them once."""

    def __init__(self, most: int) -> None:
        self.request = RecordDecisionsRequest()
        self.decisions: list[LocalDecision] = []
        self._most = most
        self._bytes = 0
        self._numbers = {b"": 0}

    def __len__(self) -> int:
        return len(self.decisions)

    @property
    def full(self) -> bool:
        return len(self) >= self._most or self._bytes >= _MOST_BYTES

    def add(self, decision: LocalDecision) -> None:
        report, number = decision.to_report(), self._number(decision.context)
        self.request.decisions.append(report)
        self.request.context_numbers.append(number)
        self.decisions.append(decision)
        self._bytes += report.ByteSize()

    def _number(self, context: bytes) -> int:
        """The place of a context among those that are told, from 1; 0 for none."""
        found = self._numbers.get(context)
        if found is None:
            self.request.contexts.add().MergeFromString(context)
            found = self._numbers[context] = len(self.request.contexts)
            self._bytes += len(context)
        return found


class Reports:
    """``offer`` takes a decision and never waits.

    Holds at most ``capacity`` decisions; what comes beyond is dropped and counted. A batch whose answer got
    lost is sent again as it is: the service knows decisions by their id. One that the service failed at
    ``tries`` times is sent in ever smaller parts; a decision that it fails at alone counts as refused.
    """

    def __init__(self, client: ImrsClient, *, capacity: int, tries: int = TRIES) -> None:
        self._client = client
        self._tries = tries
        self._faults = 0
        self._most = MOST_AT_ONCE
        self._capacity = self._room = capacity
        self._waiting: deque[LocalDecision] = deque()
        self._batch = _Batch(self._most)
        self._pauses = Pauses()
        self._not_before = 0.0
        self._refusal = ""
        # Counts without a lock: whoever asks for a decision must not wait, not even for that.
        self._drops = count(1)
        self._sending = Lock()
        self.accepted = 0
        self.refused = 0
        self.dropped = 0

    def offer(self, decision: LocalDecision) -> None:
        if len(self._waiting) < self._room:
            self._waiting.append(decision)
        else:
            self.dropped = next(self._drops)

    @property
    def waiting(self) -> int:
        return len(self._waiting) + len(self._batch)

    def send(self) -> None:
        """Send what waits, unless the last try failed a moment ago."""
        with self._sending:
            while self.waiting and time.monotonic() >= self._not_before:
                self._send_batch()

    def finish(self, deadline: float) -> int:
        """Send all that waits now, until the deadline, of time.monotonic, at most; how many are left."""
        if not self._sending.acquire(timeout=max(0.0, deadline - time.monotonic())):
            return self.waiting or 1
        try:
            end = self.accepted + self.refused + self.waiting
            while self.accepted + self.refused < end and (left_seconds := deadline - time.monotonic()) > 0:
                pause_seconds = self._not_before - time.monotonic()
                if pause_seconds > 0:
                    time.sleep(min(pause_seconds, left_seconds))
                else:
                    self._send_batch(timeout_seconds=left_seconds)
            return max(0, end - self.accepted - self.refused)
        finally:
            self._sending.release()

    def _send_batch(self, timeout_seconds: float | None = None) -> None:
        while self._waiting and not self._batch.full:
            self._add(self._waiting[0])
            # Only now: what is in neither would seem to be reported.
            self._waiting.popleft()
        self._room = self._capacity - len(self._batch)
        if not self._batch:
            return
        try:
            answer = self._client.route.RecordDecisions(self._batch.request, timeout=timeout_seconds)
        except Exception as error:  # noqa: BLE001  (such as a token that cannot be fetched: later, perhaps)
            self._not_before = time.monotonic() + self._pauses.after(error)
            if isinstance(error, ImrsError) and error.code in REFUSALS:
                self._give_up(error)
            elif isinstance(error, ImrsError) and error.code in FAULTS:
                self._isolate(error)
            return
        self._pauses.reset()
        self._refusal = ""
        self._most = min(self._most * 2, MOST_AT_ONCE)
        self.accepted += answer.accepted_count
        refused = len(self._batch) - answer.accepted_count
        if refused:
            log.warning(
                "%d decisions were refused: of a model that the catalogue never had, or is this clock wrong?",
                refused,
            )
            self.refused += refused
        self._clear()

    def _add(self, decision: LocalDecision) -> None:
        """To the batch; what is no message, such as one with a ``request_id`` that is no text, is refused."""
        try:
            self._batch.add(decision)
        except Exception as error:  # noqa: BLE001  (it must not keep the others, and the thread, from going on)
            self.refused += 1
            self._say(f"a decision cannot be reported, is its request_id text? {error}")

    def _say(self, refusal: str) -> None:
        """Once, as long as it is the same."""
        if refusal != self._refusal:
            log.warning("%s", refusal)
            self._refusal = refusal

    def _give_up(self, error: ImrsError) -> None:
        """What was refused once is refused again; what is decided later may not be."""
        self._say(f"decisions are refused, and not reported: {error}")
        self.refused += len(self._batch)
        self._clear()

    def _isolate(self, error: ImrsError) -> None:
        """Where it is no accident, send half as many at a time, until what it is about stands alone."""
        self._faults += 1
        if self._most == MOST_AT_ONCE and self._faults < self._tries:
            return
        if len(self._batch) == 1:
            log.warning("decision %s cannot be reported", self._batch.request.decisions[0].decision_id)
            self._give_up(error)
            return
        decisions = self._batch.decisions
        self._most = len(decisions) // 2
        # First back, then out of the batch: what is in neither would seem to be reported.
        self._room = self._capacity
        self._waiting.extendleft(reversed(decisions))
        self._clear()

    def _clear(self) -> None:
        self._batch = _Batch(self._most)
        self._faults = 0
        self._room = self._capacity
