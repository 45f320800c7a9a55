"""Decisions, as they are told. On the path of every Route: what can be looked up is not made."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any
from uuid import UUID
from weakref import WeakKeyDictionary

from google.protobuf.timestamp_pb2 import Timestamp

from imrs_client import v1 as pb
from imrs_client.ranked import Level, Reason, RemovedBy
from imrs_client.tasks import Confidence, Source
from imrs_server.domain.decision import NO_MODEL
from imrs_server.transport.convert import common, endpoints

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from enum import StrEnum

    from imrs_client.tasks import Detection
    from imrs_server.domain.decision import Answer, CandidateReport, Decision, SelectedModel


def to_bytes(decision: Decision) -> bytes:
    """A serialised Decision: what many have in common was serialised before, for messages put one after the
    other are read as their merge (protobuf.dev, encoding, "last one wins").
    """
    # The id is written in two halves, for those of a millisecond begin alike.
    number = decision.decision_id.int
    rest = b"%016x" % (number & _REST)
    pieces = [
        _sent(decision.answer),
        _sent_state(decision.index_revision, decision.stale),
        _sent_time(number >> 64),
        rest[:4],
        b"-",
        rest[4:],
    ]
    if decision.request_id or decision.propensity is not None or decision.candidates:
        pieces.append(_seldom(decision))
    return b"".join(pieces)


def to_batch(decisions: Iterable[bytes]) -> bytes:
    """A serialised BatchRouteResponse of serialised decisions."""
    return b"".join([piece for each in decisions for piece in (_ITEM, _varint(len(each)), each)])


def to_proto(decision: Decision) -> pb.Decision:
    made = pb.Decision.FromString(to_bytes(decision))
    if decision.selected is NO_MODEL:
        made.ClearField("selected")
        made.ClearField("reason")
    return made


# What stands before each of them on the wire: number and type of the field, and its length (protobuf.dev,
# encoding, "length-delimited records").
_ITEM = bytes([pb.BatchRouteResponse.DECISIONS_FIELD_NUMBER << 3 | 2])
_ID = bytes([pb.Decision.DECISION_ID_FIELD_NUMBER << 3 | 2, len(str(UUID(int=0)))])

_TEXT_OF_64_BITS = len("01930000-0000-7000-")
_REST = (1 << 64) - 1


@lru_cache(maxsize=4096)
def _varint(value: int) -> bytes:
    found = bytearray()
    while value > 0x7F:
        found.append(value & 0x7F | 0x80)
        value >>= 7
    found.append(value)
    return bytes(found)


def _seldom(decision: Decision) -> bytes:
    """What most decisions do not have."""
    return pb.Decision(
        request_id=decision.request_id,
        propensity=decision.propensity,
        candidates=[_report(each) for each in decision.candidates],
    ).SerializeToString()


@lru_cache(maxsize=64)
def _sent_state(index_revision: int, stale: bool) -> bytes:
    return pb.Decision(index_revision=index_revision, stale=stale).SerializeToString()


# Several are made within a millisecond.
@lru_cache(maxsize=64)
def _sent_time(beginning: int) -> bytes:
    """The time that is in the first 64 bits of an id, and the text of the id as far as they go."""
    seconds, milliseconds = divmod(beginning >> 16, 1000)
    time = Timestamp(seconds=seconds, nanos=milliseconds * 1_000_000)
    text = str(UUID(int=beginning << 64))[:_TEXT_OF_64_BITS]
    return pb.Decision(create_time=time).SerializeToString() + _ID + text.encode()


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
_answers: WeakKeyDictionary[Answer, bytes] = WeakKeyDictionary()
_models: WeakKeyDictionary[SelectedModel, pb.SelectedModel] = WeakKeyDictionary()


def _sent(answer: Answer) -> bytes:
    found = _answers.get(answer)
    if found is None:
        made = pb.Decision(
            tenant_id=str(answer.tenant_id),
            agent_id=answer.agent_id,
            task=to_detection(answer.task),
            selected=_selected(answer.selected),
            fallbacks=[_selected(each) for each in answer.fallbacks],
            reason=_REASONS[answer.reason],
            candidates_total=answer.candidates_total,
            candidates_eligible=answer.candidates_eligible,
        )
        found = _answers[answer] = made.SerializeToString()
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
        endpoint=None if model.endpoint is None else endpoints.to_proto(model.endpoint),
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
