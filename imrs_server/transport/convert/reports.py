"""Decisions that clients took by themselves, from what they report of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any
from uuid import UUID

import structlog

from imrs_client import v1 as pb
from imrs_client.ids import time_of
from imrs_client.ranked import Reason
from imrs_client.tasks import Confidence, Detection, Source
from imrs_server.domain.decision import NO_CHANCE, Answer, Decision, RouteQuery, SelectedModel
from imrs_server.domain.errors import InvalidRequest, Violation
from imrs_server.transport import validation
from imrs_server.transport.convert import common, route_queries
from imrs_server.transport.rules import between, each, instant, many

if TYPE_CHECKING:
    from collections.abc import Sequence

    from imrs_server.domain.principal import Principal
    from imrs_server.transport.rules import Rule

log = structlog.get_logger()

# As Route would have said it, so that what is stored looks the same whoever decided.
_RULES: Mapping[str, Rule] = {
    "decision_id": validation.UUID,
    "request_id": validation.NAME,
    "tenant_id": validation.UUID,
    "agent_id": validation.AGENT_ID,
    "fallbacks": many(100),
    "candidates_total": validation.COUNT,
    "candidates_eligible": validation.COUNT,
    "index_revision": validation.MEMORY,
    "propensity": validation.SHARE,
    "create_time": instant,
}
_TASK_RULES: Mapping[str, Rule] = {
    "task_type": validation.WORD,
    "required_capabilities": each(validation.WORD, 100),
    "alternatives": each(validation.WORD, 100),
}
_MODEL_RULES: Mapping[str, Rule] = {"model_id": validation.MODEL_ID, "score": between(-1e9, 1e9)}
_REQUIRED = ("decision_id", "create_time", "task", "selected", "reason")


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """What decisions were asked, and what chance could have led to."""

    request: RouteQuery
    propensities: Mapping[str, float]


def contexts(told: pb.RecordDecisionsRequest) -> list[Context | None]:
    """Of each decision its context; None where it is not told, or is none that Route could have had.

    Raises InvalidRequest where decisions and contexts do not go together.
    """
    numbers = told.context_numbers or [0] * len(told.decisions)
    if len(numbers) != len(told.decisions):
        raise InvalidRequest(
            Violation("context_numbers", f"must be empty or {len(told.decisions)}, one for each decision")
        )
    if max(numbers, default=0) > len(told.contexts):
        raise InvalidRequest(
            Violation("context_numbers", f"must be at most {len(told.contexts)}, the last of contexts")
        )
    known = [None, *(_context(each) for each in told.contexts)]
    return [known[number] for number in numbers]


def _context(told: pb.DecisionContext) -> Context | None:
    try:
        validation.validate(told)
        return Context(request=route_queries.query(told.request), propensities=dict(told.propensities))
    except InvalidRequest as error:
        log.warning("decision_context.malformed", detail=error.message[:300])
        return None


def decision(told: pb.Decision, caller: Principal, context: Context | None = None) -> Decision:
    """Raises InvalidRequest for what Route could not have said.

    Tenant and agent are the caller's where they are left out.
    """
    violations = _check(told, _RULES, required=_REQUIRED)
    violations += _check(told.task, _TASK_RULES, "task.", required=("task_type", "confidence", "source"))
    violations += _check(told.selected, _MODEL_RULES, "selected.", required=("model_id",))
    for model in told.fallbacks:
        violations += _check(model, _MODEL_RULES, "fallbacks.", required=("model_id",))
    if not violations and told.create_time.ToMilliseconds() != _milliseconds(told.decision_id):
        violations.append(Violation("create_time", "must be the time inside decision_id, a UUIDv7"))
    if violations:
        raise InvalidRequest(*violations)
    found = _decision(told, caller)
    return _with(found, context) if context else found


def _with(decision: Decision, context: Context) -> Decision:
    request = context.request
    drawn = decision.propensity is not None
    named = decision.request_id if drawn else ""
    chance = named if request.seed is None else f"seed {request.seed}"
    return decision._replace(
        conversation_id=request.query.conversation_id,
        query=replace(request.query.needing(decision.task.required_capabilities), chance=chance),
        agent_class=request.agent_class,
        propensities=context.propensities if drawn else NO_CHANCE,
    )


def _decision(told: pb.Decision, caller: Principal) -> Decision:
    task = told.task
    confidence = common.member(Confidence, pb.TaskDetection.Confidence, task.confidence)
    source = common.member(Source, pb.TaskDetection.Source, task.source)
    reason = common.member(Reason, pb.Decision.Reason, told.reason)
    assert confidence is not None
    assert source is not None
    assert reason is not None
    return Decision(
        decision_id=UUID(told.decision_id),
        request_id=told.request_id,
        answer=Answer(
            tenant_id=common.uuid(told.tenant_id) or caller.tenant(None),
            agent_id=told.agent_id or caller.agent(""),
            task=Detection(
                task_type=task.task_type,
                confidence=confidence,
                source=source,
                required_capabilities=tuple(task.required_capabilities),
                alternatives=tuple(task.alternatives),
            ),
            selected=_model(told.selected),
            fallbacks=tuple([_model(one) for one in told.fallbacks]),
            reason=reason,
            candidates_total=told.candidates_total,
            candidates_eligible=told.candidates_eligible,
        ),
        index_revision=told.index_revision,
        stale=told.stale,
        propensity=common.optional(told, "propensity"),
        query=None,
    )


def _model(told: pb.SelectedModel) -> SelectedModel:
    """As much of a model as is kept."""
    return SelectedModel(model_id=told.model_id, score=told.score)


def _check(
    message: Any, rules: Mapping[str, Rule], prefix: str = "", required: Sequence[str] = ()
) -> list[Violation]:
    """What is wrong with the fields that are set, and which are not."""
    given = {field.name: value for field, value in message.ListFields()}
    found = [Violation(prefix + name, "must be set") for name in required if name not in given]
    for name, value in given.items():
        rule = rules.get(name)
        problem = rule(value) if rule else ""
        if problem:
            found.append(Violation(prefix + name, problem))
    return found


def _milliseconds(decision_id: str) -> int | None:
    """The time inside a UUIDv7, since 1970; None for any other id."""
    known = UUID(decision_id)
    return known.int >> 80 if time_of(known) is not None else None
