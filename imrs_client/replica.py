"""Decisions taken in the client: a replica of what the service knows of one agent."""

from __future__ import annotations

import math
import os
import time
from dataclasses import dataclass
from itertools import count
from threading import Condition, Event, Thread
from typing import TYPE_CHECKING, Any, Final, Self

from imrs_client import route_query
from imrs_client.errors import NotFound, Unavailable
from imrs_client.filters import matches_any
from imrs_client.knowledge import Knowledge, not_reached
from imrs_client.local_decision import DefaultAnswer, LocalDecision
from imrs_client.reporting import Reports
from imrs_client.tasks import SRS_RULES
from imrs_client.v1 import RouteRequest, SelectedModel
from imrs_client.watching import Watch

if TYPE_CHECKING:
    from imrs_client.client import ImrsClient
    from imrs_client.snapshot import Snapshot

STALE_AFTER_SECONDS: Final = 30.0
# Rarer heartbeats than this do not come from a server that is well.
_SILENCE_SECONDS: Final = 60.0
_REPORT_EVERY_SECONDS: Final = 0.5


class NoSnapshot(Unavailable):
    """Nothing was heard of the agent yet, and there is no default model that could answer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplicaStatus:
    """How a replica is. ``age_seconds`` is infinite before the first snapshot, ``last_error`` the newest one.

    ``reported`` decisions are known to the service, ``refused`` ones it would not have or failed at,
    ``dropped`` ones were too many to keep, ``waiting`` ones are on their way.
    """

    revision: int
    age_seconds: float
    stale: bool
    connected: bool
    last_error: Exception | None
    reported: int
    refused: int
    dropped: int
    waiting: int


class Replica:
    """Takes an agent's decisions without a call, and goes on while the service or its database is away.

    ``agent_id`` empty means that of the client's token. After ``stale_after_seconds`` without a word from the
    service answers say that they are ``stale``. Until the first snapshot ``default_model`` answers, a
    model_id or all that is to be said of the model; without one ``route`` raises NoSnapshot. Decisions are
    reported in batches, up to ``report_capacity`` wait for that; ``report`` False keeps them here, for tokens
    other than an agent's may not report. Use it in a ``with`` statement, or ``start`` and ``close`` it. The
    client must outlive it. Safe to share between threads, and, since ``route`` never waits, with asyncio.
    """

    def __init__(
        self,
        client: ImrsClient,
        agent_id: str = "",
        *,
        default_model: SelectedModel | str | None = None,
        stale_after_seconds: float = STALE_AFTER_SECONDS,
        report: bool = True,
        report_capacity: int = 10_000,
    ) -> None:
        self._agent_id = agent_id
        self._default = _selected(default_model)
        self._stale_after_seconds = stale_after_seconds
        self._reports = Reports(client, capacity=report_capacity)
        self._offer = self._reports.offer if report else _keep_nothing
        self._watch = Watch(
            client,
            agent_id,
            hear=self._hear,
            fail=self._fail,
            silence_seconds=max(stale_after_seconds, _SILENCE_SECONDS),
        )
        self._known: Knowledge | None = None
        self._refusal: NotFound | None = None
        self._last_error: Exception | None = None
        self._changed = Condition()
        self._closing = Event()
        # Ids are hashes of this and a number: nobody else can guess them.
        self._secret = os.urandom(32)
        self._numbers = count()
        self._threads = [
            Thread(target=self._watch.run, name="imrs replica", daemon=True),
            Thread(target=self._report, name="imrs reports", daemon=True),
        ]

    def route(
        self,
        request: RouteRequest | None = None,
        /,
        *,
        task_type: str = "",
        request_id: str = "",
        **fields: Any,
    ) -> LocalDecision:
        """Which model answers? A RouteRequest or its fields: ``message=``, ``required_capabilities=``, ...

        The answer is that of Route at the same revision. Never waits. Raises what Route raises
        (InvalidArgument, FailedPrecondition NO_ELIGIBLE_MODEL, NotFound AGENT_NOT_FOUND, Unavailable
        REVISION_NOT_REACHED); and NoSnapshot, and OnlyOnServer where an agent has too many task types to
        send them all.
        """
        known = self._known
        time_ns = time.time_ns()
        seed = (self._secret, next(self._numbers))
        if known is None:
            # In this order, for what is heard in this moment is known before the refusal goes.
            refusal = self._refusal
            known = self._known
            if known is None:
                made = request or RouteRequest(task_type=task_type, request_id=request_id, **fields)
                return self._route_by_default(made, time_ns, seed, refusal)
        if request is not None:
            request_id = request.request_id
            answer = known.answer(request, request_id, time_ns, seed)
        elif fields:
            answer = known.answer(RouteRequest(task_type=task_type, **fields), request_id, time_ns, seed)
        else:
            found = known.by_task.get(task_type)
            answer = found or known.answer_task(task_type, request_id, time_ns, seed)
        age_seconds = time.monotonic() - known.vouched_at
        decision = LocalDecision(
            answer,
            known.agent,
            known.revision,
            request_id,
            known.stale or age_seconds > self._stale_after_seconds,
            age_seconds,
            time_ns,
            seed,
        )
        self._offer(decision)
        return decision

    @property
    def status(self) -> ReplicaStatus:
        known = self._known
        age_seconds = math.inf if known is None else time.monotonic() - known.vouched_at
        return ReplicaStatus(
            revision=0 if known is None else known.revision,
            age_seconds=age_seconds,
            stale=known is None or known.stale or age_seconds > self._stale_after_seconds,
            connected=self._watch.connected,
            last_error=self._last_error,
            reported=self._reports.accepted,
            refused=self._reports.refused,
            dropped=self._reports.dropped,
            waiting=self._reports.waiting,
        )

    def wait_until_ready(self, timeout_seconds: float = 5) -> None:
        """Wait for the first snapshot. Raises TimeoutError, which says what went wrong last."""
        if not self.wait_for_revision(1, timeout_seconds):
            why = f": {self._last_error}" if self._last_error else ""
            raise TimeoutError(f"no snapshot of the agent within {timeout_seconds} s{why}")

    def wait_for_revision(self, revision: int, timeout_seconds: float = 5) -> bool:
        """Wait until decisions know of a write (``client.last_revision``); whether they do."""
        with self._changed:
            return self._changed.wait_for(
                lambda: self._known is not None and self._known.revision >= revision, timeout_seconds
            )

    def start(self) -> None:
        """Begin to watch and to report, in two threads."""
        for thread in self._threads:
            thread.start()

    def flush(self, timeout_seconds: float = 5) -> int:
        """Report now what is not reported yet, so that ``client.record`` finds it; how many are left."""
        return self._reports.finish(time.monotonic() + timeout_seconds)

    def close(self, timeout_seconds: float = 5) -> int:
        """Stop watching, report what is not reported yet; how many decisions are left unreported."""
        deadline = time.monotonic() + timeout_seconds
        self._closing.set()
        self._watch.close()
        for thread in self._threads:
            if thread.is_alive():
                thread.join(max(0.0, deadline - time.monotonic()))
        return self._reports.finish(deadline)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _hear(self, snapshot: Snapshot) -> None:
        before = self._known
        vouched_at = before.vouched_at if before else -math.inf
        known = Knowledge(snapshot, vouched_at if snapshot.stale else time.monotonic(), before)
        with self._changed:
            # In this order: in between nobody may find neither.
            self._known = known
            self._refusal = None
            self._changed.notify_all()

    def _fail(self, error: Exception) -> None:
        self._last_error = error
        if isinstance(error, NotFound) and error.reason == "AGENT_NOT_FOUND":
            # The service answers; so this is no outage to get over, but what Route would say.
            self._watch.forget()
            self._refusal, self._known = error, None

    def _report(self) -> None:
        while not self._closing.wait(_REPORT_EVERY_SECONDS):
            self._watch.cut_silent()
            self._reports.send()

    def _route_by_default(
        self, request: RouteRequest, time_ns: int, seed: tuple[bytes, int], refusal: NotFound | None
    ) -> LocalDecision:
        """Before the first snapshot, or while there is no such agent."""
        if refusal is not None:
            raise NotFound(refusal.message, reason=refusal.reason, metadata=refusal.metadata)
        query = route_query.of(request)
        if request.min_revision:
            raise not_reached(0, request.min_revision)
        model = self._default
        if model is None or not _allowed(model, query.allowed_models, query.excluded_models):
            why = f" Last error: {self._last_error}." if self._last_error else ""
            raise NoSnapshot(
                "Nothing is known of the agent yet. Call wait_until_ready() first, give default_model=,"
                f" or ask the service with client.choose().{why}"
            )
        task = route_query.task(request, SRS_RULES)
        answer = DefaultAnswer(task, model, (query, request.agent_class, None))
        agent = (request.tenant_id, request.agent_id or self._agent_id)
        decision = LocalDecision(answer, agent, 0, request.request_id, True, math.inf, time_ns, seed)
        self._offer(decision)
        return decision


def _selected(model: SelectedModel | str | None) -> SelectedModel | None:
    if not isinstance(model, str):
        return model
    provider_id, _, external_id = model.partition("/")
    if not (provider_id and external_id):
        raise ValueError(f"default_model must be provider_id/external_id, not {model!r}")
    return SelectedModel(model_id=model, provider_id=provider_id, external_id=external_id)


def _allowed(model: SelectedModel, allowed: tuple[str, ...] | None, excluded: tuple[str, ...]) -> bool:
    names = (model.model_id, model.external_id)
    return (allowed is None or matches_any(allowed, *names)) and not matches_any(excluded, *names)


def _keep_nothing(_decision: LocalDecision) -> None:
    pass
