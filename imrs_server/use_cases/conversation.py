"""One Complete after its decision: which model is called next, and what came of each."""

from __future__ import annotations

import time
from contextlib import closing
from typing import TYPE_CHECKING, Any

from imrs_server.domain.attempts import Attempts
from imrs_server.domain.chat import ChatFailure, Ended, FailureKind
from imrs_server.domain.completion import AttemptFailed, Completed
from imrs_server.domain.credential import CredentialPath
from imrs_server.domain.errors import (
    BudgetExceeded,
    CredentialMissing,
    DomainError,
    InvalidRequest,
    ProviderInvalidResponse,
    ProviderRateLimited,
    ProviderUnavailable,
    VaultForbidden,
    VaultSealed,
    VaultUnreachable,
    Violation,
)
from imrs_server.use_cases.pool import Entry

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator

    from imrs_server.adapters.network import Deadline
    from imrs_server.adapters.providers.dialect import Access
    from imrs_server.domain.attempts import Turn
    from imrs_server.domain.completion import CompletionEvent
    from imrs_server.domain.decision import Decision, SelectedModel
    from imrs_server.domain.message import Message
    from imrs_server.domain.principal import Principal
    from imrs_server.domain.secret import Secret
    from imrs_server.use_cases.called import Calls, CallUnderWay
    from imrs_server.use_cases.complete import Completions, Query
    from imrs_server.use_cases.pool import Visit

# A model that others could stand in for gets this share of the time that is left to begin its answer.
_SHARE = 0.5
# A wait between two calls looks this often whether anybody still waits for the answer.
_LOOK_SECONDS = 0.1
_MOST_DETAIL = 500


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
        self._end = self._start + deadline.remaining()
        self._vault_error: DomainError | None = None
        self._failed: DomainError | None = None
        self._uncalled: DomainError | None = None
        self._is_short = False
        self._failed_places: set[tuple[str, str | None]] = set()
        self._visits: dict[str, Visit | None] = {}
        self.unknown: list[str] = []
        """Models that their providers do not know, as they say."""

    def run(self) -> Iterator[CompletionEvent]:
        decision = self._decision
        attempts = Attempts((decision.selected, *decision.fallbacks), self._query.max_attempts)
        while (turn := attempts.next(self._clock())) is not None and self._waited(turn):
            entry = yield from self._admitted(attempts, turn)
            if entry is None:
                continue
            try:
                call = self._begin(turn.model)
            except BudgetExceeded as error:
                yield self._too_dear(attempts, turn.model, error)
                continue
            attempts.called(turn.model)
            call.endpoint_id = entry.endpoint_id
            breakers = self._desk.pacing.breakers
            trial = breakers.begin(turn.model, own_key=is_own_key(turn.model), endpoint_id=entry.endpoint_id)
            try:
                yield from self._call(turn, entry, call)
            except ChatFailure as failure:
                if self._deadline.is_cut:
                    call.cancelled()
                    return
                place = turn.model.model_id, entry.endpoint_id
                breakers.failed(trial, failure, again=place in self._failed_places)
                self._failed_places.add(place)
                yield self._note(attempts, call, failure)
            else:
                breakers.succeeded(trial)
                yield self._completed(call)
                return
        if not self._deadline.is_cut:
            raise self._failed or self._uncalled or _too_late(decision)

    def _begin(self, model: SelectedModel) -> CallUnderWay:
        return self._calls.begin(
            model, output_tokens=self._desk.output_tokens(model, self._query), seconds=self._left_seconds()
        )

    def _too_dear(self, attempts: Attempts, model: SelectedModel, error: BudgetExceeded) -> AttemptFailed:
        first, self._is_short = not self._is_short, True
        self._uncalled = self._uncalled or error
        attempts.too_dear(model, self._desk.free_models(self._who, self._query) if first else ())
        return AttemptFailed(model_id=model.model_id, kind=FailureKind.BUDGET, detail=error.message)

    def _read(self, path: CredentialPath) -> Secret:
        if self._vault_error is not None:
            # It was asked a moment ago; each further question would only take time.
            raise self._vault_error
        try:
            return self._desk.read(path)
        except (VaultSealed, VaultForbidden, VaultUnreachable) as error:
            self._vault_error = error
            raise

    def _call(self, turn: Turn, entry: Entry, call: CallUnderWay) -> Iterator[CompletionEvent]:
        """The pieces of the answer, as they come or in one. Raises ChatFailure."""
        self._deadline.move(self._share_seconds(turn))
        request = self._desk.request(turn.model, self._query)
        with entry, closing(self._desk.stream(entry.access, request, self._deadline)) as events:
            for event in events:
                entry.heard()
                if isinstance(event, Ended):
                    call.ended(event)
                    continue
                # It speaks: from now on it has all of the time.
                self._deadline.move(self._left_seconds())
                call.heard(event)
                if self._query.stream:
                    call.is_delivered = True
                    yield event
        if not self._query.stream and (whole := call.whole()) is not None:
            yield whole

    def _admitted(self, attempts: Attempts, turn: Turn) -> Generator[CompletionEvent, None, Entry | None]:
        """What the model is called with; None, and why, where it is not called now."""
        model, pacing = turn.model, self._desk.pacing
        refusal = None if turn.again else pacing.resting(model, own_key=is_own_key(model))
        if refusal is None:
            try:
                access = self._desk.access(model, self._decision, self._read)
            except DomainError as error:
                self._uncalled = self._uncalled or error
                attempts.unreachable(model)
                yield AttemptFailed(model_id=model.model_id, kind=FailureKind.AUTH, detail=error.message)
                return None
            try:
                entry = self._enter(turn, access)
            except DomainError as error:
                yield self._not_entered(attempts, turn, error)
                return None
            refusal = pacing.refused(model, access.provider)
            if refusal is None:
                return entry
        self._uncalled = self._uncalled or refusal.error
        attempts.put_off(model, refusal.wait_seconds, self._clock())
        yield AttemptFailed(model_id=model.model_id, kind=refusal.kind, detail=refusal.detail)
        return None

    def _enter(self, turn: Turn, access: Access) -> Entry:
        """Where the model is called: at an endpoint of the pool, which may have to load it first.

        Raises what ``Visit.enter`` may raise.
        """
        model_id = turn.model.model_id
        if model_id not in self._visits:
            self._visits[model_id] = self._desk.pool.visit(model_id)
        visit = self._visits[model_id]
        if visit is None:
            return Entry(access)
        self._deadline.move(self._share_seconds(turn))
        return visit.enter(access, self._deadline, again=turn.again)

    def _not_entered(self, attempts: Attempts, turn: Turn, error: DomainError) -> AttemptFailed:
        model, visit = turn.model, self._visits[turn.model.model_id]
        self._uncalled = self._uncalled or error
        if visit is None or turn.again or not visit.goes_on:
            # What failed to load just now is not loaded again; one that failed of late is better than none.
            wait_seconds = None if visit is None or visit.has_begun else 0.0
            attempts.put_off(model, wait_seconds, self._clock())
        kind = FailureKind.TIMEOUT if self._deadline.remaining() <= 0 else FailureKind.OVERLOADED
        if isinstance(error, VaultSealed | VaultForbidden | VaultUnreachable | CredentialMissing):
            kind = FailureKind.AUTH
        return AttemptFailed(model_id=model.model_id, kind=kind, detail=error.message[:_MOST_DETAIL])

    def _note(self, attempts: Attempts, call: CallUnderWay, failure: ChatFailure) -> AttemptFailed:
        model = call.model
        visit = self._visits.get(model.model_id)
        self._failed = _error(failure, model)
        call.failed(failure)
        if failure.cause is FailureKind.AUTH:
            self._desk.forget(model, self._decision)
        # One place without the model is no reason to think that there is none.
        if failure.cause is FailureKind.NOT_FOUND and not is_own_key(model) and visit is None:
            self.unknown.append(model.model_id)
        if call.is_delivered or self._left_seconds() <= 0:
            # Nothing could take back what the caller has, and no other model goes on in the middle of it.
            attempts.give_up()
        elif visit is not None and visit.helps(failure):
            attempts.stay(model)
        else:
            attempts.failed(model, failure, self._clock())
        place = f"endpoint {call.endpoint_id}: " if call.endpoint_id else ""
        detail = place + (f"{failure.detail}: {failure.said}" if failure.said else failure.detail)
        return AttemptFailed(model_id=model.model_id, kind=failure.kind, detail=detail[:_MOST_DETAIL])

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
        if self._left_seconds() <= turn.wait_seconds:
            return False
        while not self._deadline.is_cut and (rest := due - self._clock()) > 0:
            time.sleep(min(rest, _LOOK_SECONDS))
        return not self._deadline.is_cut

    def _share_seconds(self, turn: Turn) -> float:
        """How long the model may take to begin its answer."""
        visit = self._visits.get(turn.model.model_id)
        is_last = turn.alone and (visit is None or not visit.goes_on)
        return self._left_seconds() * (1.0 if is_last else _SHARE)

    def _left_seconds(self) -> float:
        return max(0.0, self._end - self._clock())


def is_own_key(model: SelectedModel) -> bool:
    """Whether the agent calls the provider with a key of its own."""
    return model.api_key_vault_path != CredentialPath(model.provider_id).shown


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
