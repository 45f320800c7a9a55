"""Whether a model may be called now, and at which place: what cannot be taken back is taken last."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from imrs_server.domain.chat import ChatFailure, FailureKind
from imrs_server.domain.completion import AttemptFailed
from imrs_server.domain.credential import CredentialPath
from imrs_server.domain.errors import (
    BudgetExceeded,
    CredentialMissing,
    DomainError,
    InvalidRequest,
    VaultForbidden,
    VaultSealed,
    VaultUnreachable,
    Violation,
)
from imrs_server.use_cases.pool import Entry

if TYPE_CHECKING:
    from collections.abc import Callable
    from uuid import UUID

    from imrs_server.adapters.chat import Prepared
    from imrs_server.adapters.network import Deadline
    from imrs_server.adapters.providers.dialect import Access
    from imrs_server.domain.attempts import Attempts, Turn
    from imrs_server.domain.decision import Decision, SelectedModel
    from imrs_server.domain.principal import Principal
    from imrs_server.domain.secret import Secret
    from imrs_server.use_cases.called import Calls
    from imrs_server.use_cases.complete import Completions, Query
    from imrs_server.use_cases.pacing import Refusal
    from imrs_server.use_cases.pool import Visit

MOST_DETAIL = 500

# A model that others could stand in for gets this share of the time that is left to begin its answer.
_SHARE = 0.5


class Admitted(NamedTuple):
    """A call that may be made: its place, and what was set aside for it; None where there is no budget."""

    prepared: Prepared
    entry: Entry
    reservation_id: UUID | None


class Admission:
    """That of the models of one Complete.

    First is looked at what costs nothing: who rests, whether there is a key, and whether the provider has
    words for the request. Then the budgets are asked, which can be given back; last the model is loaded, and
    a call of its provider's rate_limit_rpm used up.
    """

    def __init__(
        self,
        desk: Completions,
        who: Principal,
        query: Query,
        decision: Decision,
        deadline: Deadline,
        calls: Calls,
        *,
        end_seconds: float,
        clock: Callable[[], float],
    ) -> None:
        self._desk = desk
        self._who = who
        self._query = query
        self._decision = decision
        self._deadline = deadline
        self._calls = calls
        self._end_seconds = end_seconds
        self._clock = clock
        self._vault_error: DomainError | None = None
        self._is_short = False
        self._visits: dict[str, Visit | None] = {}
        self.error: DomainError | None = None
        """Why the first one was not called that was not."""

    def admit(self, attempts: Attempts, turn: Turn) -> Admitted | AttemptFailed:
        """What the model is called with; or why it is not called now, of which ``attempts`` is told.

        Raises DatabaseUnavailable where nobody can say what is left of a budget.
        """
        model, pacing = turn.model, self._desk.pacing
        refusal = None if turn.again else pacing.resting(model, own_key=is_own_key(model))
        if refusal is not None:
            return self._put_off(attempts, model, refusal)
        try:
            access = self._desk.access(model, self._decision, self._read)
        except DomainError as error:
            return self._without_key(attempts, model, error)
        try:
            prepared = self._desk.prepared(model, self._query, access)
        except ChatFailure as failure:
            return self._unfit(attempts, model, failure)
        try:
            reservation_id = self._calls.reserve(
                model,
                output_tokens=self._desk.output_tokens(model, self._query),
                seconds=self.left_seconds(),
            )
        except BudgetExceeded as error:
            return self._too_dear(attempts, model, error)
        try:
            found = self._entered(attempts, turn, access)
        except BaseException:
            self._calls.give_back(reservation_id)
            raise
        if isinstance(found, Entry):
            if found.access is not access:
                prepared = self._desk.prepared(model, self._query, found.access)
            return Admitted(prepared, found, reservation_id)
        self._calls.give_back(reservation_id)
        return found

    def visit(self, model: SelectedModel) -> Visit | None:
        """The endpoints of a model that was entered; None for one that has none."""
        return self._visits.get(model.model_id)

    def share_seconds(self, turn: Turn) -> float:
        """How long the model may take to begin its answer."""
        visit = self.visit(turn.model)
        is_last = turn.alone and (visit is None or not visit.goes_on)
        return self.left_seconds() * (1.0 if is_last else _SHARE)

    def left_seconds(self) -> float:
        """How long the whole call may still take."""
        return max(0.0, self._end_seconds - self._clock())

    def _entered(self, attempts: Attempts, turn: Turn, access: Access) -> Entry | AttemptFailed:
        try:
            entry = self._enter(turn, access)
        except DomainError as error:
            return self._not_entered(attempts, turn, error)
        refusal = self._desk.pacing.refused(turn.model, access.provider)
        return entry if refusal is None else self._put_off(attempts, turn.model, refusal)

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
        self._deadline.move(self.share_seconds(turn))
        return visit.enter(access, self._deadline, again=turn.again)

    def _not_entered(self, attempts: Attempts, turn: Turn, error: DomainError) -> AttemptFailed:
        model, visit = turn.model, self._visits[turn.model.model_id]
        self._note(error)
        if visit is None or turn.again or not visit.goes_on:
            # What failed to load just now is not loaded again; one that failed of late is better than none.
            wait_seconds = None if visit is None or turn.again or visit.has_begun else 0.0
            attempts.put_off(model, wait_seconds, self._clock())
        kind = FailureKind.TIMEOUT if self._deadline.remaining() <= 0 else FailureKind.OVERLOADED
        if isinstance(error, VaultSealed | VaultForbidden | VaultUnreachable | CredentialMissing):
            kind = FailureKind.AUTH
        return AttemptFailed(model_id=model.model_id, kind=kind, detail=error.message[:MOST_DETAIL])

    def _put_off(self, attempts: Attempts, model: SelectedModel, refusal: Refusal) -> AttemptFailed:
        self._note(refusal.error)
        attempts.put_off(model, refusal.wait_seconds, self._clock())
        return AttemptFailed(model_id=model.model_id, kind=refusal.kind, detail=refusal.detail)

    def _without_key(self, attempts: Attempts, model: SelectedModel, error: DomainError) -> AttemptFailed:
        self._note(error)
        attempts.unreachable(model)
        return AttemptFailed(model_id=model.model_id, kind=FailureKind.AUTH, detail=error.message)

    def _unfit(self, attempts: Attempts, model: SelectedModel, failure: ChatFailure) -> AttemptFailed:
        self._note(InvalidRequest(Violation("messages", f"{model.model_id}: {failure.detail}")))
        attempts.put_off(model, None, self._clock())
        return AttemptFailed(model_id=model.model_id, kind=failure.kind, detail=failure.detail)

    def _too_dear(self, attempts: Attempts, model: SelectedModel, error: BudgetExceeded) -> AttemptFailed:
        self._note(error)
        first, self._is_short = not self._is_short, True
        attempts.too_dear(model, self._desk.free_models(self._who, self._query) if first else ())
        return AttemptFailed(model_id=model.model_id, kind=FailureKind.BUDGET, detail=error.message)

    def _note(self, error: DomainError) -> None:
        self.error = self.error or error

    def _read(self, path: CredentialPath) -> Secret:
        if self._vault_error is not None:
            # It was asked a moment ago; each further question would only take time.
            raise self._vault_error
        try:
            return self._desk.read(path)
        except (VaultSealed, VaultForbidden, VaultUnreachable) as error:
            self._vault_error = error
            raise


def is_own_key(model: SelectedModel) -> bool:
    """Whether the agent calls the provider with a key of its own."""
    return model.api_key_vault_path != CredentialPath(model.provider_id).shown
