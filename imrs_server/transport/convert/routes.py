"""Route requests and decisions, both ways. On the path of every Route: what can be looked up is not made."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from google.protobuf.timestamp_pb2 import Timestamp

from imrs_client import v1 as pb
from imrs_client.query import DataDemand, Query
from imrs_client.ranked import Level, Reason, RemovedBy
from imrs_client.tasks import Attachment, Confidence, Source
from imrs_server.domain.decision import RouteQuery
from imrs_server.domain.model import CostTier, ModelType
from imrs_server.domain.parameters import UNSET
from imrs_server.transport.convert import common

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from enum import StrEnum

    from imrs_client.tasks import Detection
    from imrs_server.domain.decision import CandidateReport, Decision, SelectedModel

DEFAULT_FALLBACKS = 3


def query(request: pb.RouteRequest) -> RouteQuery:
    """Raises InvalidRequest for an enum value that the contract does not know."""
    given = request.HasField
    return RouteQuery(
        tenant_id=common.uuid(request.tenant_id),
        agent_id=request.agent_id,
        agent_class=request.agent_class,
        task_type=request.task_type,
        message=request.message,
        tools_used=tuple(request.tools_used),
        attachments=attachments(request.attachments),
        query=Query(
            model_type=common.member(ModelType, pb.Model.Type, request.model_type) or ModelType.CHAT,
            capabilities=tuple(request.required_capabilities),
            domains=tuple(request.domains),
            allowed_models=tuple(request.allowed_models.values) if given("allowed_models") else None,
            excluded_models=tuple(request.excluded_models),
            roles=frozenset(request.roles),
            min_context_length=request.min_context_length,
            estimated_prompt_tokens=_estimated_tokens(request),
            max_cost_tier=common.member(CostTier, pb.Model.CostTier, request.max_cost_tier),
            prefer_cost_tier=common.member(CostTier, pb.Model.CostTier, request.prefer_cost_tier),
            max_latency_ms=request.max_latency_ms if given("max_latency_ms") else None,
            data=_demand(request.data_policy) if given("data_policy") else None,
            conversation_id=request.conversation_id,
            previous_model_id=request.previous_model_id,
            max_fallbacks=request.max_fallbacks if given("max_fallbacks") else DEFAULT_FALLBACKS,
        ),
        parameters=common.parameters(request.parameters) if given("parameters") else UNSET,
        min_revision=request.min_revision,
        seed=request.seed if given("seed") else None,
        request_id=request.request_id,
    )


def detect_query(request: pb.DetectTaskRequest) -> RouteQuery:
    return RouteQuery(
        tenant_id=common.uuid(request.tenant_id),
        message=request.message,
        tools_used=tuple(request.tools_used),
        attachments=attachments(request.attachments),
    )


def attachments(files: Iterable[pb.Attachment]) -> tuple[Attachment, ...]:
    return tuple([Attachment(each.filename, each.mime_type) for each in files])


def to_proto(decision: Decision) -> pb.Decision:
    return pb.Decision(
        decision_id=str(decision.decision_id),
        request_id=decision.request_id,
        tenant_id=str(decision.tenant_id),
        agent_id=decision.agent_id,
        task=to_detection(decision.task),
        selected=_selected(decision.selected),
        fallbacks=[_selected(each) for each in decision.fallbacks],
        reason=_REASONS[decision.reason],
        candidates_total=decision.candidates_total,
        candidates_eligible=decision.candidates_eligible,
        index_revision=decision.index_revision,
        stale=decision.stale,
        propensity=decision.propensity,
        create_time=_timestamp(decision),
        candidates=[_report(each) for each in decision.candidates],
    )


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


# A model's part is the same in every decision of a table, and a copy costs a tenth of making it.
_made: WeakKeyDictionary[SelectedModel, pb.SelectedModel] = WeakKeyDictionary()


def _selected(model: SelectedModel) -> pb.SelectedModel:
    found = _made.get(model)
    if found is None:
        found = _made[model] = to_selected(model)
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


def _estimated_tokens(request: pb.RouteRequest) -> int:
    """The window holds the prompt and, where this very request limits it, the answer."""
    estimate = request.estimated_prompt_tokens
    return estimate + request.parameters.max_output_tokens if estimate else 0


def _demand(policy: pb.DataPolicy) -> DataDemand:
    """Saying that data may be used is no demand."""
    return DataDemand(
        regions=frozenset(policy.regions),
        no_training=policy.HasField("trains_on_data") and not policy.trains_on_data,
        no_retention=policy.HasField("retains_data") and not policy.retains_data,
    )


def _timestamp(decision: Decision) -> Timestamp:
    # The time of a decision is the one inside its id, in milliseconds.
    seconds, milliseconds = divmod(decision.decision_id.int >> 80, 1000)
    return Timestamp(seconds=seconds, nanos=milliseconds * 1_000_000)


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
