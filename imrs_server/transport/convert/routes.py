"""Route requests and decisions, both ways. On the path of every Route: what can be looked up is not made."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from imrs_client import route_query
from imrs_client import v1 as pb
from imrs_client.query import Query
from imrs_client.ranked import Level, Reason, RemovedBy
from imrs_client.tasks import Attachment, Confidence, Source
from imrs_server.domain.decision import NO_LIMITS, RouteQuery
from imrs_server.domain.model import CostTier, ModelType
from imrs_server.transport.convert import common

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from enum import StrEnum

    from imrs_client.tasks import Detection
    from imrs_server.domain.decision import Answer, CandidateReport, Decision, SelectedModel

# Programs ask the same again and again, but for what they send along: a message, the name of a request.
_known: dict[bytes, RouteQuery] = {}
MAX_KNOWN = 4096
MAX_KNOWN_BYTES = 256


def query(request: pb.RouteRequest) -> RouteQuery:
    """Equal requests get the same query, unless they are large or name themselves.

    Raises InvalidRequest for an enum value that the contract does not know.
    """
    key = request.SerializeToString()
    found = _known.get(key)
    if found is None:
        if request.message or request.request_id or request.conversation_id or len(key) > MAX_KNOWN_BYTES:
            return _read(request)
        if len(_known) >= MAX_KNOWN:
            _known.clear()
        found = _known[key] = _read(request, repeated=True)
    return found


def _read(request: pb.RouteRequest, *, repeated: bool = False) -> RouteQuery:
    about: dict[str, Any] = {"repeated": repeated}
    asked: dict[str, Any] = {}
    # Most fields of most requests are not set, and are not looked at.
    for field, value in request.ListFields():
        name = field.name
        take = _ASKED.get(name)
        if take is not None:
            asked[_NAMES.get(name, name)] = take(value)
        else:
            about[name] = _ABOUT[name](value)
    if "parameters" in about and "estimated_prompt_tokens" in asked:
        # The window holds the prompt and, where this very request limits it, the answer.
        asked["estimated_prompt_tokens"] += request.parameters.max_output_tokens
    return RouteQuery(query=Query(**asked) if asked else NO_LIMITS, **about)


def detect_query(request: pb.DetectTaskRequest) -> RouteQuery:
    return RouteQuery(
        tenant_id=common.uuid(request.tenant_id),
        message=request.message,
        tools_used=tuple(request.tools_used),
        attachments=attachments(request.attachments),
    )


def attachments(files: Iterable[pb.Attachment]) -> tuple[Attachment, ...]:
    return tuple([Attachment(each.filename, each.mime_type) for each in files])


def to_proto(decision: Decision, made: pb.Decision | None = None) -> pb.Decision:
    """A message of its own, or what is given filled in."""
    made = pb.Decision() if made is None else made
    made.CopyFrom(_answer(decision.answer))
    made.decision_id = str(decision.decision_id)
    made.request_id = decision.request_id
    made.index_revision = decision.index_revision
    made.stale = decision.stale
    # The time of a decision is the one inside its id, in milliseconds.
    seconds, milliseconds = divmod(decision.decision_id.int >> 80, 1000)
    made.create_time.seconds = seconds
    made.create_time.nanos = milliseconds * 1_000_000
    if decision.propensity is not None:
        made.propensity = decision.propensity
    if decision.candidates:
        made.candidates.extend(_report(each) for each in decision.candidates)
    return made


def to_detection(task: Detection) -> pb.TaskDetection:
    return pb.TaskDetection(
        task_type=task.task_type,
        confidence=_CONFIDENCES[task.confidence],
        source=_SOURCES[task.source],
        required_capabilities=task.required_capabilities,
        alternatives=task.alternatives,
    )


def reason(number: int) -> Reason | None:
    return common.member(Reason, pb.Decision.Reason, number)


# An answer is the same in many decisions, and a model in many answers: a copy costs a tenth of making it.
_answers: WeakKeyDictionary[Answer, pb.Decision] = WeakKeyDictionary()
_models: WeakKeyDictionary[SelectedModel, pb.SelectedModel] = WeakKeyDictionary()


def _answer(answer: Answer) -> pb.Decision:
    found = _answers.get(answer)
    if found is None:
        found = _answers[answer] = pb.Decision(
            tenant_id=str(answer.tenant_id),
            agent_id=answer.agent_id,
            task=to_detection(answer.task),
            selected=_selected(answer.selected),
            fallbacks=[_selected(each) for each in answer.fallbacks],
            reason=_REASONS[answer.reason],
            candidates_total=answer.candidates_total,
            candidates_eligible=answer.candidates_eligible,
        )
    return found


def _selected(model: SelectedModel) -> pb.SelectedModel:
    found = _models.get(model)
    if found is None:
        found = _models[model] = to_selected(model)
    return found


def to_selected(model: SelectedModel) -> pb.SelectedModel:
    return pb.SelectedModel(
        model_id=model.model_id,
        provider_id=model.provider_id,
        provider_type=common.number(pb.Provider.Type, model.provider_type),
        api_base=model.api_base,
        api_key_vault_path=model.api_key_vault_path,
        external_id=model.external_id,
        display_name=model.display_name,
        priority=model.priority,
        cost_tier=common.number(pb.Model.CostTier, model.cost_tier),
        score=model.score,
        parameters=common.to_parameters(model.parameters),
        context_length=model.context_length or 0,
        capabilities=model.capabilities,
        input_price_usd=common.to_decimal_text(model.input_price_usd),
        output_price_usd=common.to_decimal_text(model.output_price_usd),
        price_state=common.number(pb.Model.PriceState, model.price_state),
        credentials_ok=model.credentials_ok,
    )


def _report(report: CandidateReport) -> pb.CandidateReport:
    candidate = report.candidate
    return pb.CandidateReport(
        model_id=candidate.model_id,
        eligible=report.eligible,
        removed_by=_REMOVED_BY[report.removed_by],
        detail=report.detail,
        score=candidate.score,
        priority_term=candidate.priority_term,
        experience_term=candidate.experience_term,
        exploration_term=candidate.exploration_term,
        rating_mean=candidate.rating_mean or 0.0,
        # A second of decay is not worth a digit.
        rating_count=round(candidate.rating_count, 3),
        level=_LEVELS[candidate.level],
    )


def _member(cls: type[StrEnum], wrapper: Any) -> Callable[[int], StrEnum | None]:
    return partial(common.member, cls, wrapper)


def _as_it_is(value: Any) -> Any:
    return value


# What becomes of each field of a request that is set.
_ABOUT: Mapping[str, Callable[[Any], Any]] = {
    "tenant_id": common.uuid,
    "agent_id": _as_it_is,
    "agent_class": _as_it_is,
    "task_type": _as_it_is,
    "message": _as_it_is,
    "tools_used": tuple,
    "attachments": attachments,
    "parameters": common.parameters,
    "min_revision": _as_it_is,
    "seed": _as_it_is,
    "request_id": _as_it_is,
}
_ASKED: Mapping[str, Callable[[Any], Any]] = {
    "model_type": _member(ModelType, pb.Model.Type),
    "required_capabilities": tuple,
    "domains": tuple,
    "allowed_models": lambda models: tuple(models.values),
    "excluded_models": tuple,
    "roles": frozenset,
    "min_context_length": _as_it_is,
    "estimated_prompt_tokens": _as_it_is,
    "max_cost_tier": _member(CostTier, pb.Model.CostTier),
    "prefer_cost_tier": _member(CostTier, pb.Model.CostTier),
    "max_latency_ms": _as_it_is,
    "data_policy": route_query.demand,
    "conversation_id": _as_it_is,
    "previous_model_id": _as_it_is,
    "max_fallbacks": _as_it_is,
}
_NAMES = {"required_capabilities": "capabilities", "data_policy": "data"}


def _numbers(wrapper: Any, cls: type[StrEnum]) -> Mapping[Any, Any]:
    return {each: common.number(wrapper, each) for each in cls}


_REASONS = _numbers(pb.Decision.Reason, Reason)
_REMOVED_BY: Mapping[RemovedBy | None, Any] = {
    None: 0,
    **_numbers(pb.CandidateReport.RemovedBy, RemovedBy),
}
_LEVELS = _numbers(pb.CandidateReport.Level, Level)
_CONFIDENCES = _numbers(pb.TaskDetection.Confidence, Confidence)
_SOURCES = _numbers(pb.TaskDetection.Source, Source)
