"""What a replica decides by at one moment: a snapshot, and the answers that were already made from it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from imrs_client import route_query
from imrs_client.decide import NothingEligible, decide
from imrs_client.errors import FailedPrecondition, ImrsError, InvalidArgument, Unavailable, Violation
from imrs_client.local_decision import Answer, id_of
from imrs_client.v1 import Parameters, RouteRequest

if TYPE_CHECKING:
    from imrs_client.decide import Choice
    from imrs_client.query import Query
    from imrs_client.snapshot import Snapshot
    from imrs_client.snapshot_tables import Table

# More different requests than this are a sign that they do not repeat; remembering then starts afresh.
_MOST_ANSWERS: Final = 1024


class OnlyOnServer(FailedPrecondition):
    """This task type is not among those that the service sends to clients. Ask it: ``client.choose``."""


class Knowledge:
    """A snapshot and when the service vouched for it; ``vouched_at`` is of time.monotonic.

    What ``before`` has made is kept where the content is the same.
    """

    __slots__ = ("agent", "answers", "by_task", "revision", "snapshot", "stale", "vouched_at")

    def __init__(self, snapshot: Snapshot, vouched_at: float, before: Knowledge | None = None) -> None:
        self.snapshot = snapshot
        self.vouched_at = vouched_at
        self.revision = snapshot.revision
        self.stale = snapshot.stale
        self.agent = (snapshot.agent.tenant_id, snapshot.agent.agent_id)
        self.by_task: dict[str, Answer] = {}
        self.answers: dict[bytes, Answer] = {}
        if before is not None and _goes_on(before.snapshot, snapshot):
            self.by_task, self.answers = before.by_task, before.answers

    def answer_task(self, task_type: str, request_id: str, time_ns: int, seed: tuple[bytes, int]) -> Answer:
        """The answer to a request that says nothing but the task type, remembered for the next."""
        answer = self.answer(RouteRequest(task_type=task_type), request_id, time_ns, seed)
        if answer.propensity is None and not self.snapshot.limits.draws:
            _remember(self.by_task, task_type, answer)
        return answer

    def answer(self, request: RouteRequest, request_id: str, time_ns: int, seed: tuple[bytes, int]) -> Answer:
        """Decide as the server would at this revision.

        Raises InvalidArgument, FailedPrecondition (NO_ELIGIBLE_MODEL, or OnlyOnServer) and Unavailable
        (REVISION_NOT_REACHED).
        """
        # Equal requests that serialise differently, as maps may, only miss what is remembered.
        key = request.SerializeToString()
        found = self.answers.get(key)
        if found is not None:
            return found
        self._check(request)
        query = route_query.of(request)
        task = route_query.task(request, self.snapshot.rules)
        if not self.snapshot.knows(task.task_type):
            raise OnlyOnServer(
                f"Task type {task.task_type} is not among those that the service sends to clients;"
                " ask it with client.choose",
                metadata={"task_type": task.task_type},
            )
        query = query.needing(task.required_capabilities)
        table = self.snapshot.table(task.task_type, request.agent_class)
        draws = table.ranked.policy.exploration_rate > 0 or self.snapshot.limits.draws
        seed_of_draw = request.seed if draws and request.HasField("seed") else None
        asked = (query, request.agent_class, seed_of_draw)
        if draws:
            query = replace(query, chance=_chance(request, request_id) or id_of(time_ns, seed))
        parameters = None
        if request.HasField("parameters"):
            parameters = Parameters()
            parameters.CopyFrom(request.parameters)
        answer = Answer(task, table, self._decide(table, query), parameters, asked)
        if not (draws or request.message or request.conversation_id or request.request_id):
            _remember(self.answers, key, answer)
        return answer

    def _check(self, request: RouteRequest) -> None:
        tenant_id, agent_id = self.agent
        for field, asked, known in (
            ("tenant_id", request.tenant_id, tenant_id),
            ("agent_id", request.agent_id, agent_id),
        ):
            if asked and asked != known:
                raise InvalidArgument(
                    "This replica answers for one agent only.",
                    reason="INVALID_REQUEST",
                    violations=[Violation(field, f"must be {known}, or empty")],
                )
        if request.min_revision > self.revision:
            raise not_reached(self.revision, request.min_revision)

    def _decide(self, table: Table, query: Query) -> Choice:
        try:
            return decide(table.ranked, query, self.snapshot.limits)
        except NothingEligible as nothing:
            _, agent_id = self.agent
            removed = {str(name): str(count) for name, count in nothing.removed.items()}
            raise FailedPrecondition(
                f"No model of agent {agent_id} passes the filters;"
                " the metadata tells which filter removed how many.",
                reason="NO_ELIGIBLE_MODEL",
                metadata={"agent_id": agent_id, **removed},
            ) from None


def not_reached(revision: int, min_revision: int) -> ImrsError:
    return Unavailable(
        f"This replica has reached revision {revision}, not yet {min_revision}.",
        reason="REVISION_NOT_REACHED",
        metadata={"revision": str(revision), "min_revision": str(min_revision)},
        retry_after_seconds=0.05,
    )


def _goes_on(before: Snapshot, snapshot: Snapshot) -> bool:
    """Whether what was answered before holds yet, with the revision that was asked for."""
    return before.fingerprint == snapshot.fingerprint != b"" and before.revision <= snapshot.revision


def _chance(request: RouteRequest, request_id: str) -> str:
    """What exploration draws from, where the request says so."""
    return f"seed {request.seed}" if request.HasField("seed") else request_id


def _remember(answers: dict[Any, Answer], key: str | bytes, answer: Answer) -> None:
    if len(answers) >= _MOST_ANSWERS:
        answers.clear()
    answers[key] = answer
