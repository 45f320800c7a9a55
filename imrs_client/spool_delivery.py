"""How votes get from a spool to the service: in batches, each vote once, those on one message in order."""

from __future__ import annotations

import logging
import math
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import grpc

from imrs_client.errors import ImrsError, from_item_error
from imrs_client.pauses import Pauses
from imrs_client.v1 import BatchSubmitFeedbackRequest, SubmitFeedbackRequest

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from imrs_client.client import ImrsClient
    from imrs_client.spool_store import Kept, Store
    from imrs_client.v1 import Feedback

log = logging.getLogger(__name__)

MOST_AT_ONCE: Final = 500
"""As many votes as the service commits together."""

_MOST_BYTES: Final = 1 << 20
_CALL_SECONDS: Final = 10.0

# Nothing that waiting changes.
_REFUSALS: Final = frozenset(
    {
        grpc.StatusCode.INVALID_ARGUMENT,
        grpc.StatusCode.NOT_FOUND,
        grpc.StatusCode.ALREADY_EXISTS,
        grpc.StatusCode.PERMISSION_DENIED,
        grpc.StatusCode.FAILED_PRECONDITION,
        grpc.StatusCode.OUT_OF_RANGE,
        grpc.StatusCode.UNIMPLEMENTED,
    }
)
# What is so for one vote is so for all of them now.
_BUSY: Final = frozenset(
    {
        grpc.StatusCode.UNAVAILABLE,
        grpc.StatusCode.RESOURCE_EXHAUSTED,
        grpc.StatusCode.DEADLINE_EXCEEDED,
        grpc.StatusCode.UNAUTHENTICATED,
    }
)


@dataclass(slots=True)
class _Hold:
    """Votes on a message wait until ``until``, of time.monotonic; the first of them failed at ``since``."""

    since: float
    until: float
    pauses: Pauses


class Delivery:
    """``step`` belongs to one thread; ``cancel`` may come from another.

    A vote that is refused leaves the store, and ``refuse`` is told. A message that the service does not know
    may be on its way by another path, such as a replica's report: its votes are refused when it is still
    unknown ``patience_seconds`` after the first try.
    """

    def __init__(
        self,
        client: ImrsClient,
        store: Store,
        *,
        refuse: Callable[[SubmitFeedbackRequest, ImrsError], object],
        patience_seconds: float,
    ) -> None:
        self._client = client
        self._store = store
        self._refuse = refuse
        self._patience_seconds = patience_seconds
        self._holds: dict[str, _Hold] = {}
        self._pauses = Pauses()
        self._call: Any = None
        self.not_before = 0.0
        self.delivered = 0
        self.refused = 0
        self.last_error: Exception | None = None

    def step(self, timeout_seconds: float = _CALL_SECONDS) -> bool:
        """Send one batch; whether there was anything to send."""
        batch = self._batch()
        if not batch:
            return False
        requests = [SubmitFeedbackRequest.FromString(each.request) for each in batch]
        try:
            answers = self._send(requests, min(timeout_seconds, _CALL_SECONDS))
        except Exception as error:  # noqa: BLE001  (such as a token that cannot be fetched: later, perhaps)
            self._wait(error)
            return True
        self._pauses.reset()
        ended = [
            kept.number
            for kept, request, answer in zip(batch, requests, answers, strict=True)
            if self._ends(request, answer)
        ]
        self._store.remove(ended)
        return True

    def cancel(self) -> None:
        """Give up the call that runs; its votes stay."""
        call = self._call
        if call is not None:
            call.cancel()

    def hurry(self) -> None:
        """Try now what would have waited for the service to come back."""
        self._pauses.reset()
        self.not_before = 0.0

    @property
    def next_seconds(self) -> float:
        """How long until a vote that is held back is due; infinite where there is none."""
        due = min((each.until for each in self._holds.values()), default=math.inf)
        return max(0.0, due - time.monotonic())

    def _batch(self) -> list[Kept]:
        """The votes to send next. One for each message: the next only when the service has had the first."""
        batch: list[Kept] = []
        size, now = 0, time.monotonic()
        taken: set[str] = set()
        for kept in self._store.all():
            hold = self._holds.get(kept.message_id)
            waits = kept.message_id in taken or (hold is not None and hold.until > now)
            taken.add(kept.message_id)
            if waits:
                continue
            size += len(kept.request)
            if batch and (len(batch) >= MOST_AT_ONCE or size > _MOST_BYTES):
                break
            batch.append(kept)
        return batch

    def _send(self, requests: Sequence[SubmitFeedbackRequest], timeout_seconds: float) -> Sequence[Feedback]:
        submit = self._client.feedback.BatchSubmitFeedback.future
        self._call = submit(BatchSubmitFeedbackRequest(requests=requests), timeout=timeout_seconds)
        try:
            answers: Sequence[Feedback] = self._call.result().feedback
        finally:
            self._call = None
        if len(answers) != len(requests):
            raise ImrsError(f"{len(requests)} votes were sent, {len(answers)} were answered")
        return answers

    def _ends(self, request: SubmitFeedbackRequest, answer: Feedback) -> bool:
        """Whether the vote need not be sent again."""
        if not answer.HasField("error"):
            self._holds.pop(request.message_id, None)
            self.delivered += 1
            return True
        error = from_item_error(answer.error)
        if error.code in _BUSY:
            self._wait(error)
            return False
        self.last_error = error
        now = time.monotonic()
        hold = self._holds.get(request.message_id) or _Hold(now, now, Pauses())
        unknown = error.code == grpc.StatusCode.NOT_FOUND
        if error.code in _REFUSALS and not (unknown and now < hold.since + self._patience_seconds):
            self._holds.pop(request.message_id, None)
            self.refused += 1
            self._tell(request, error)
            return True
        hold.until = now + hold.pauses.after()
        self._holds[request.message_id] = hold
        return False

    def _wait(self, error: Exception) -> None:
        if getattr(error, "code", None) in _REFUSALS and str(error) != str(self.last_error):
            log.warning("no vote is taken from here, all are kept: %s", error)
        self.last_error = error
        now = time.monotonic()
        if self.not_before <= now:
            self.not_before = now + self._pauses.after(error)

    def _tell(self, request: SubmitFeedbackRequest, error: ImrsError) -> None:
        try:
            self._refuse(request, error)
        except Exception:
            log.exception("what was called for a refused vote failed")
