"""What cools: as this server sees it at once, and as all servers share it through the index."""

from __future__ import annotations

import threading
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, NamedTuple

import structlog

from imrs_server.domain.blame import blame
from imrs_server.domain.breaker import (
    Breaker,
    Cause,
    Phase,
    Subject,
    SubjectKind,
    Tally,
    Trouble,
    cooling_seconds,
)
from imrs_server.domain.chat import FailureKind
from imrs_server.domain.errors import DatabaseUnavailable
from imrs_server.domain.reach import Reach
from imrs_server.use_cases import breaker_reports
from imrs_server.use_cases.breaker_reports import Report

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from imrs_server.domain.chat import ChatFailure
    from imrs_server.domain.decision import SelectedModel
    from imrs_server.index.warm import Index
    from imrs_server.storage.database import Database

log = structlog.get_logger()


def uncounted(_cause: Cause) -> None:
    """Nobody is told."""


class Rest(NamedTuple):
    """How long somebody is to be left alone, and why."""

    cause: Cause
    seconds: float


class _Standing(NamedTuple):
    """How a breaker stood."""

    generation: int = 0
    phase: Phase | None = None


_CLOSED = _Standing()
_FADING = 0.95
_CUT_OFF = "this server reaches no provider; look at its network"


class Trial(NamedTuple):
    """A call that was begun, and how things stood: the breakers, and the version of the provider's row."""

    model_id: str
    provider_id: str
    own_key: bool
    standings: dict[Subject, _Standing]
    provider_version: int
    start_seconds: float
    endpoint_id: str | None = None


class _Own(NamedTuple):
    """What this server knows before the index does, which is until that has reached ``revision``."""

    cause: Cause
    end_seconds: float
    revision: int | None = None


class Breakers:
    """Fed by the calls of Complete. Nothing here waits but ``write``, which is for a thread of its own.

    Of what many calls report, one report of each subject is written, and of many servers' the first one
    counts. ``count`` is told of every report by its cause.
    """

    def __init__(
        self,
        database: Database,
        index: Index,
        *,
        count: Callable[[Cause], None] = uncounted,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._database = database
        self._index = index
        self._count = count
        self._clock = clock
        self._lock = threading.Lock()
        self._reach = Reach()
        self._usual_seconds: dict[str, float] = {}
        self._tallies: dict[Subject, Tally] = {}
        self._own: dict[Subject, _Own] = {}
        self._pending: dict[Subject, Report] = {}
        self._listeners: tuple[Callable[[], None], ...] = ()

    def listen(self, hear: Callable[[], None]) -> None:
        """Call ``hear`` whenever there is something to write: it must not wait."""
        self._listeners += (hear,)

    def resting(self, *subjects: Subject, own_key: bool = False) -> Rest | None:
        """Whether one of these cools, and for how long the one that does longest; None where none does.

        What the provider's key met is no matter of an agent's ``own_key``.
        """
        found = [
            rest
            for each in subjects
            if (rest := self._resting(each)) and not (own_key and rest.cause.is_of_key)
        ]
        return max(found, key=lambda each: each.seconds, default=None)

    def begin(self, model: SelectedModel, *, own_key: bool, endpoint_id: str | None = None) -> Trial:
        """A call of a model begins, perhaps at an endpoint."""
        known = self._known()
        subjects = subjects_of(model) if endpoint_id is None else (_endpoint(endpoint_id),)
        return Trial(
            model.model_id,
            model.provider_id,
            own_key,
            {each: _standing(known.get(each)) for each in subjects},
            self._provider_version(model.provider_id),
            self._clock(),
            endpoint_id,
        )

    def succeeded(self, trial: Trial) -> None:
        """It brought a whole answer."""
        with self._lock:
            self._reach.answered()
            self._note_time(trial)
        known = self._known()
        for subject, began in trial.standings.items():
            breaker = known.get(subject)
            if breaker is not None and trial.own_key and breaker.cause.is_of_key:
                # That another key is served is no news of the one that was refused.
                continue
            now = _standing(breaker)
            if now.generation != began.generation or (now is _CLOSED and subject not in self._tallies):
                continue
            if now.phase is Phase.COOLING:
                self._report(subject, Report(now.generation))
                continue
            with self._lock:
                self._tally(subject, now).succeeded()

    def failed(self, trial: Trial, failure: ChatFailure, *, again: bool = False) -> None:
        """It did not; ``again`` where the same request failed there before, which says the same only once."""
        with self._lock:
            self._note_reach(trial.provider_id, failure)
        found = blame(
            failure,
            trial.model_id,
            trial.provider_id,
            own_key=trial.own_key,
            waited_seconds=self._clock() - trial.start_seconds,
            usual_seconds=self._usual_seconds.get(trial.model_id, 0.0),
            endpoint_id=trial.endpoint_id,
        )
        if found is None or self._provider_version(trial.provider_id) != trial.provider_version:
            # It says nothing, or it speaks of a key or an address that is no longer in use.
            return
        began, now = trial.standings[found.subject], _standing(self._known().get(found.subject))
        if not found.at_once:
            # What was begun before it opened, or in spite of it, was to be expected.
            if again or now.generation != began.generation or began.phase is Phase.COOLING:
                return
            with self._lock:
                if not self._tally(found.subject, now).failed():
                    return
                del self._tallies[found.subject]
        self._open(found.subject, found.trouble, began.generation)

    def _note_time(self, trial: Trial) -> None:
        """The longest that answers of the model take of late."""
        known = self._usual_seconds.get(trial.model_id, 0.0)
        self._usual_seconds[trial.model_id] = max(self._clock() - trial.start_seconds, known * _FADING)

    def _note_reach(self, provider_id: str, failure: ChatFailure) -> None:
        if failure.kind is FailureKind.NETWORK:
            self._reach.missed(provider_id, self._clock())
        elif failure.kind is not FailureKind.TIMEOUT:
            self._reach.answered()

    def used_up(self, provider_id: str, wait_seconds: float) -> None:
        """The rate_limit_rpm of a provider is used up."""
        subject = Subject(SubjectKind.PROVIDER, provider_id)
        seen = _standing(self._known().get(subject)).generation
        self._open(subject, Trouble(Cause.RATE_LIMIT_RPM, wait_seconds), seen)

    def write(self) -> int:
        """Write what was reported; says how many breakers it changed. Raises DatabaseUnavailable.

        What could not be written is kept for the next time.
        """
        with self._lock:
            pending, self._pending = self._pending, {}
        if not pending:
            return 0
        try:
            with self._database.transaction() as tx:
                count, revision = breaker_reports.write(tx, pending)
        except DatabaseUnavailable:
            with self._lock:
                self._pending = pending | self._pending
            raise
        self._hand_over(pending, revision)
        return count

    def forget(self) -> None:
        """Drop what no longer counts: how long models took that are gone, and what is over."""
        state, known, now_seconds = self._index.current, self._known(), self._clock()
        with self._lock:
            if state is not None:
                usual = self._usual_seconds.items()
                self._usual_seconds = {each: seconds for each, seconds in usual if each in state.models}
            tallies = self._tallies.items()
            over = [
                each for each, tally in tallies if tally.is_over(*_standing(known.get(each)), now_seconds)
            ]
            for each in over:
                del self._tallies[each]
            for each in [each for each, own in self._own.items() if own.end_seconds <= now_seconds]:
                del self._own[each]

    def _hand_over(self, subjects: Iterable[Subject], revision: int) -> None:
        """From a revision on the index knows of these."""
        with self._lock:
            for subject in subjects:
                own = self._own.get(subject)
                if own is not None and subject not in self._pending:
                    self._own[subject] = own._replace(revision=revision)

    def _known(self) -> Mapping[Subject, Breaker]:
        state = self._index.current
        return state.breakers if state else {}

    def _provider_version(self, provider_id: str) -> int:
        state = self._index.current
        found = state.providers.get(provider_id) if state else None
        return found.version if found else 0

    def _resting(self, subject: Subject) -> Rest | None:
        # One state, and taken last: what it does not know yet is known here.
        own, state = self._own.get(subject), self._index.current
        if own is not None:
            left = own.end_seconds - self._clock()
            if left > 0 and (own.revision is None or state is None or own.revision > state.revision):
                return Rest(own.cause, left)
            with self._lock:
                if self._own.get(subject) is own:
                    del self._own[subject]
        breaker = state.breakers.get(subject) if state else None
        if breaker is None or breaker.phase is not Phase.COOLING:
            return None
        left = (breaker.due_time - datetime.now(UTC)).total_seconds()
        return Rest(breaker.cause, left) if left > 0 else None

    def _open(self, subject: Subject, trouble: Trouble, seen: int) -> None:
        known = self._resting(subject)
        seconds = cooling_seconds(trouble, 1)
        if known is not None and (trouble.wait_seconds is None or seconds <= known.seconds + 1):
            return
        with self._lock:
            self._own[subject] = _Own(trouble.cause, self._clock() + seconds)
            ours = trouble.cause is Cause.NETWORK and self._reach.is_cut_off(self._clock())
        if ours:
            log.warning("breaker.kept", subject=str(subject), detail=_CUT_OFF)
            return
        self._report(subject, Report(seen, trouble))

    def _report(self, subject: Subject, report: Report) -> None:
        with self._lock:
            known = self._pending.get(subject)
            if known is not None and known.trouble is not None and report.trouble is None:
                return
            self._pending[subject] = report
        if report.trouble is not None:
            self._count(report.trouble.cause)
        for hear in self._listeners:
            hear()

    def _tally(self, subject: Subject, standing: _Standing) -> Tally:
        now_seconds = self._clock()
        found = self._tallies.get(subject)
        if found is None or found.is_over(*standing, now_seconds):
            found = self._tallies[subject] = Tally(*standing, now_seconds)
        return found


def subjects_of(model: SelectedModel) -> tuple[Subject, Subject]:
    """The breakers that a call of a model has to do with."""
    return (
        Subject(SubjectKind.MODEL, model.model_id),
        Subject(SubjectKind.PROVIDER, model.provider_id),
    )


def _endpoint(endpoint_id: str) -> Subject:
    return Subject(SubjectKind.ENDPOINT, endpoint_id)


def _standing(breaker: Breaker | None) -> _Standing:
    return _Standing(breaker.generation, breaker.phase) if breaker else _CLOSED
