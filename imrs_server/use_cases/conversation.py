"""One Complete after its decision: which model is called next, and what came of each."""

from __future__ import annotations

import time
from contextlib import closing
from typing import TYPE_CHECKING, Any

from imrs_server.domain.attempts import Attempts
from imrs_server.domain.chat import ChatFailure, Ended, FailureKind, Thought
from imrs_server.domain.completion import AttemptFailed, Completed
from imrs_server.domain.errors import (
    DomainError,
    InvalidRequest,
    ProviderInvalidResponse,
    ProviderRateLimited,
    ProviderUnavailable,
    Violation,
)
from imrs_server.use_cases.admission import MOST_DETAIL, Admission, is_own_key

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from imrs_server.adapters.network import Deadline
    from imrs_server.domain.attempts import Turn
    from imrs_server.domain.completion import CompletionEvent
    from imrs_server.domain.decision import Decision, SelectedModel
    from imrs_server.domain.message import Message
    from imrs_server.domain.principal import Principal
    from imrs_server.use_cases.admission import Admitted
    from imrs_server.use_cases.call_under_way import CallUnderWay
    from imrs_server.use_cases.called import Calls
    from imrs_server.use_cases.complete import Completions, Query

# A wait between two calls looks this often whether anybody still waits for the answer.
_LOOK_SECONDS = 0.1


class Conversation:
    """One Complete after its decision."""

    def __init__(
        self,
        desk: Completions,
        who: Principal,
        query: Query,
        decision: Decision,
        deadline: Deadline,
        calls: Calls,
    ) -> None:
        self._desk = desk
        self._who = who
        self._query = query
        self._decision = decision
        self._deadline = deadline
        self._calls = calls
        self._clock: Callable[[], float] = time.monotonic
        self._start = self._clock()
        self._admission = Admission(
            desk,
            who,
            query,
            decision,
            deadline,
            calls,
            end_seconds=self._start + deadline.remaining(),
            clock=self._clock,
        )
        self._failed: DomainError | None = None
        self._failed_places: set[tuple[str, str | None]] = set()
        self.unknown: list[str] = []
        """Models that their providers do not know, as they say."""

    def run(self) -> Iterator[CompletionEvent]:
        decision = self._decision
        attempts = Attempts((decision.selected, *decision.fallbacks), self._query.max_attempts)
        while (turn := attempts.next(self._clock())) is not None and self._waited(turn):
            admitted = self._admission.admit(attempts, turn)
            if isinstance(admitted, AttemptFailed):
                yield admitted
                continue
            call = self._calls.begin(turn.model, admitted.reservation_id)
            attempts.called(turn.model)
            endpoint_id = call.endpoint_id = admitted.entry.endpoint_id
            breakers = self._desk.pacing.breakers
            trial = breakers.begin(turn.model, own_key=is_own_key(turn.model), endpoint_id=endpoint_id)
            try:
                yield from self._call(turn, admitted, call)
            except ChatFailure as failure:
                if self._deadline.is_cut:
                    call.cancelled()
                    return
                place = turn.model.model_id, endpoint_id
                breakers.failed(trial, failure, again=place in self._failed_places)
                self._failed_places.add(place)
                yield self._note(attempts, call, failure)
            else:
                breakers.succeeded(trial)
                yield self._completed(call)
                return
        if not self._deadline.is_cut:
            raise self._failed or self._admission.error or _too_late(decision)

    def _call(self, turn: Turn, admitted: Admitted, call: CallUnderWay) -> Iterator[CompletionEvent]:
        """The pieces of the answer, as they come or in one. Raises ChatFailure."""
        self._deadline.move(self._admission.share_seconds(turn))
        entry = admitted.entry
        with entry, closing(self._desk.send(admitted.prepared, self._deadline)) as events:
            for event in events:
                entry.heard()
                if isinstance(event, Ended):
                    call.ended(event)
                    continue
                # It speaks, if only to itself: from now on it has all of the time.
                self._deadline.move(self._admission.left_seconds())
                call.heard(event)
                if self._query.stream and not isinstance(event, Thought):
                    call.is_delivered = True
                    yield event
        if not self._query.stream and (whole := call.whole()) is not None:
            yield whole

    def _note(self, attempts: Attempts, call: CallUnderWay, failure: ChatFailure) -> AttemptFailed:
        model = call.model
        visit = self._admission.visit(model)
        self._failed = _error(failure, model)
        call.failed(failure)
        if failure.cause is FailureKind.AUTH:
            self._desk.forget(model, self._decision)
        # One place without the model is no reason to think that there is none.
        if failure.cause is FailureKind.NOT_FOUND and not is_own_key(model) and visit is None:
            self.unknown.append(model.model_id)
        is_stuck = call.is_delivered and not self._query.allow_mid_stream_fallback
        if is_stuck or self._admission.left_seconds() <= 0:
            # Nothing could take back what the caller has, and no other model goes on in the middle of it.
            attempts.give_up()
        elif visit is not None and visit.helps(failure):
            attempts.stay(model)
        else:
            attempts.failed(model, failure, self._clock())
        place = f"endpoint {call.endpoint_id}: " if call.endpoint_id else ""
        detail = place + (f"{failure.detail}: {failure.said}" if failure.said else failure.detail)
        return AttemptFailed(
            model_id=model.model_id,
            kind=failure.kind,
            detail=detail[:MOST_DETAIL],
            partly_delivered=call.is_delivered,
        )

    def _completed(self, call: CallUnderWay) -> Completed:
        end = call.end
        stored: Message = self._calls.store(call)
        return Completed(
            message_id=stored.message_id,
            model_id=stored.model_id,
            finish_reason=end.finish_reason,
            usage=call.usage,
            cost_usd=stored.cost_usd,
            latency_ms=round((self._clock() - self._start) * 1000),
            dropped=end.dropped,
        )

    def _waited(self, turn: Turn) -> bool:
        """Wait for the model's turn; False where the time does not suffice, or nobody waits any more."""
        due = self._clock() + turn.wait_seconds
        if self._admission.left_seconds() <= turn.wait_seconds:
            return False
        while not self._deadline.is_cut and (rest := due - self._clock()) > 0:
            time.sleep(min(rest, _LOOK_SECONDS))
        return not self._deadline.is_cut


def _too_late(decision: Decision) -> ProviderUnavailable:
    return ProviderUnavailable(
        provider_id=decision.selected.provider_id, detail="the time was over before it was called"
    )


def _error(failure: ChatFailure, model: SelectedModel) -> DomainError:
    """What the caller hears where no other model answers."""
    names: dict[str, Any] = {"provider_id": model.provider_id}
    match failure.cause:
        case FailureKind.RATE_LIMITED:
            return ProviderRateLimited(**names, retry_after_seconds=failure.retry_after_seconds)
        case FailureKind.BAD_REQUEST | FailureKind.CONTENT_REFUSED | FailureKind.CONTEXT_TOO_LONG:
            return InvalidRequest(Violation("messages", f"{model.model_id}: {failure.detail}"))
        case FailureKind.AUTH | FailureKind.NOT_FOUND | FailureKind.INVALID_RESPONSE:
            return ProviderInvalidResponse(**names, detail=failure.detail)
        case _:
            return ProviderUnavailable(
                **names, detail=failure.detail, retry_after_seconds=failure.retry_after_seconds
            )
