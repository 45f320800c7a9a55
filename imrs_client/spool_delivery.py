"""How votes get from a spool to the service: in batches, each vote once, those on one message in order."""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING, Any, Final

import grpc
from google.protobuf.message import DecodeError

from imrs_client.errors import ImrsError, from_item_error
from imrs_client.pauses import Pauses
from imrs_client.spool_holds import TRIES, Holds
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
# A fault of the service, but perhaps one that shows only with one of the votes.
_FAULTS: Final = frozenset({grpc.StatusCode.INTERNAL, grpc.StatusCode.UNKNOWN, grpc.StatusCode.DATA_LOSS})
# The same of a whole batch: a vote that nobody can read makes all of it unreadable.
_FAULTS_OF_BATCHES: Final = _FAULTS | {grpc.StatusCode.INVALID_ARGUMENT}
# The caller has to mend these, for whatever vote.
_REFUSALS_OF_ALL: Final = _REFUSALS - _FAULTS_OF_BATCHES


class Delivery:
    """``step`` belongs to one thread; ``cancel`` may come from another.

    A vote that is refused leaves the store, and ``refuse`` is told. A message that the service does not know
    may be on its way by another path, such as a replica's report: its votes are refused when it is still
    unknown ``patience_seconds`` after the first try.

    A batch that the service failed at ``tries`` times is sent in ever smaller parts, so that what it is about
    stands alone. A vote that it failed at alone so often, while it took others, is set aside in the store.
    """

    def __init__(
        self,
        client: ImrsClient,
        store: Store,
        *,
        refuse: Callable[[SubmitFeedbackRequest, ImrsError], object],
        patience_seconds: float,
        tries: int = TRIES,
    ) -> None:
        self._client = client
        self._store = store
        self._refuse = refuse
        self._patience_seconds = patience_seconds
        self._tries = tries
        self._holds = Holds(tries)
        self._parts: list[list[Kept]] = []
        self._faults = 0
        self._said_all_fail = False
        self._pauses = Pauses()
        self._call: Any = None
        self.not_before = 0.0
        self.delivered = 0
        self.refused = 0
        self.last_error: Exception | None = None

    def step(self, timeout_seconds: float = _CALL_SECONDS) -> bool:
        """Send one batch; whether there was anything to send."""
        is_part = bool(self._parts)
        batch = self._parts.pop() if is_part else self._batch()
        if not batch:
            return False
        requests = self._requests(batch)
        if requests is None:
            return True
        try:
            answers = self._send(requests, min(timeout_seconds, _CALL_SECONDS))
        except Exception as error:  # noqa: BLE001  (such as a token that cannot be fetched: later, perhaps)
            self._wait(error)
            self._failed(batch, error, is_part=is_part)
            return True
        self._pauses.reset()
        self._faults = 0
        self._take(batch, requests, answers)
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
        return self._holds.next_seconds

    def _batch(self) -> list[Kept]:
        """The votes to send next. One for each message: the next only when the service has had the first."""
        batch: list[Kept] = []
        size, now = 0, time.monotonic()
        taken: set[str] = set()
        for kept in self._store.all():
            waits = kept.message_id in taken or self._holds.waits(kept.message_id, now)
            taken.add(kept.message_id)
            if waits:
                continue
            if self._holds.is_alone(kept.message_id):
                if not batch:
                    return [kept]
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

    def _requests(self, batch: Sequence[Kept]) -> list[SubmitFeedbackRequest] | None:
        """What is kept, as it is sent; None where something was no vote, and is set aside."""
        requests = []
        for kept in batch:
            try:
                requests.append(SubmitFeedbackRequest.FromString(kept.request))
            except DecodeError as error:
                self._set_aside(kept, error)
        return requests if len(requests) == len(batch) else None

    def _take(
        self, batch: list[Kept], requests: Sequence[SubmitFeedbackRequest], answers: Sequence[Feedback]
    ) -> None:
        """Go by what each vote was answered with."""
        ended: list[int] = []
        at_fault: list[tuple[Kept, ImrsError]] = []
        before = self.delivered
        for kept, request, answer in zip(batch, requests, answers, strict=True):
            if not answer.HasField("error"):
                self._holds.end(kept.message_id)
                self.delivered += 1
                ended.append(kept.number)
                continue
            error = from_item_error(answer.error)
            if error.code in _FAULTS:
                self.last_error = error
                if self._is_at_fault(kept, error):
                    at_fault.append((kept, error))
            elif self._ends(kept, request, error):
                ended.append(kept.number)
        self._store.remove(ended)
        if self.delivered > before:
            self._holds.note_delivery()
            self._said_all_fail = False
        # Last, for where the file has no room for it, what the service has is not sent once more.
        for kept, error in at_fault:
            self._set_aside(kept, error)

    def _ends(self, kept: Kept, request: SubmitFeedbackRequest, error: ImrsError) -> bool:
        """Whether a vote that was not taken need not be sent again."""
        if error.code in _BUSY:
            self._wait(error)
            return False
        self.last_error = error
        young = self._holds.age_seconds(kept.message_id) < self._patience_seconds
        if error.code in _REFUSALS and not (error.code == grpc.StatusCode.NOT_FOUND and young):
            self._holds.end(kept.message_id)
            self.refused += 1
            self._tell(request, error)
            return True
        self._holds.prolong(kept.message_id)
        return False

    def _failed(self, batch: list[Kept], error: Exception, *, is_part: bool) -> None:
        """Where it is no accident, send halves of the batch, until what it is about stands alone."""
        if not isinstance(error, ImrsError) or error.code not in _FAULTS_OF_BATCHES:
            if is_part:
                self._parts.append(batch)
            return
        self._faults += 1
        if len(batch) == 1:
            if self._is_at_fault(batch[0], error, alone=True):
                self._set_aside(batch[0], error)
        elif is_part or self._faults >= self._tries:
            middle = len(batch) // 2
            self._parts += [batch[middle:], batch[:middle]]

    def _is_at_fault(self, kept: Kept, error: ImrsError, *, alone: bool = False) -> bool:
        """Count a fault of the service; whether the vote is to be set aside for it."""
        if not self._holds.count_fault(kept.message_id, alone=alone):
            return False
        if self._holds.has_taken_others(kept.message_id):
            return True
        if not self._said_all_fail:
            self._said_all_fail = True
            log.warning(
                "the service fails at vote %d, on message %s, and takes no other; it is kept and tried again,"
                " as are all that wait: %s",
                kept.number,
                kept.message_id,
                error,
            )
        return False

    def _set_aside(self, kept: Kept, error: Exception) -> None:
        self._store.set_aside(kept.number)
        self._holds.end(kept.message_id)
        self.last_error = error
        log.warning("vote %d, on message %s, is set aside: %s", kept.number, kept.message_id, error)

    def _wait(self, error: Exception) -> None:
        if getattr(error, "code", None) in _REFUSALS_OF_ALL and str(error) != str(self.last_error):
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
