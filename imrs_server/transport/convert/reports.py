"""Decisions that clients took by themselves, from what they report of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from uuid import UUID

from imrs_client import v1 as pb
from imrs_client.ids import time_of
from imrs_client.ranked import Reason
from imrs_client.tasks import Confidence, Detection, Source
from imrs_server.domain.decision import Answer, Decision, SelectedModel
from imrs_server.domain.errors import InvalidRequest, Violation
from imrs_server.transport import validation
from imrs_server.transport.convert import common
from imrs_server.transport.rules import between, each, instant, many

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from imrs_server.domain.principal import Principal
    from imrs_server.transport.rules import Rule

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


def decision(told: pb.Decision, caller: Principal) -> Decision:
    """Raises InvalidRequest for what Route could not have said.

    Tenant and agent are the caller's where they are left out; what was asked is not told.
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
    return _decision(told, caller)


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
