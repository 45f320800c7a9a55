"""Messages, both ways."""

from __future__ import annotations

from imrs_client import v1 as pb
from imrs_server.domain.message import Message, Outcome, Report
from imrs_server.transport.convert import common


def to_proto(message: Message) -> pb.Message:
    return pb.Message(
        message_id=str(message.message_id),
        tenant_id=str(message.tenant_id),
        agent_id=message.agent_id,
        decision_id=str(message.decision_id or ""),
        conversation_id=message.conversation_id,
        model_id=message.model_id,
        task_type=message.task_type,
        tools_used=message.tools_used,
        latency_ms=message.latency_ms,
        prompt_tokens=message.prompt_tokens,
        completion_tokens=message.completion_tokens,
        cached_tokens=message.cached_tokens,
        tokens_estimated=message.tokens_estimated,
        token_count=message.token_count,
        cost_usd=common.to_decimal_text(message.cost_usd),
        cost_priced=message.cost_priced,
        outcome=common.number(pb.Message.Outcome, message.outcome),
        error_kind=message.error_kind,
        metadata=common.to_struct(message.metadata or None),
        rating=message.rating,
        feedback_type=common.number(pb.Feedback.Type, message.feedback_type),
        feedback_time=common.to_timestamp(message.feedback_time),
        create_time=common.to_timestamp(message.create_time),
    )


def report(message: pb.Message) -> Report:
    """What a caller says of a call; what the server sets is passed over."""
    return Report(
        message_id=common.uuid(message.message_id),
        agent_id=message.agent_id,
        decision_id=common.uuid(message.decision_id),
        conversation_id=message.conversation_id,
        model_id=message.model_id,
        task_type=message.task_type,
        tools_used=tuple(message.tools_used),
        latency_ms=message.latency_ms,
        prompt_tokens=message.prompt_tokens,
        completion_tokens=message.completion_tokens,
        cached_tokens=message.cached_tokens,
        tokens_estimated=message.tokens_estimated,
        outcome=common.member(Outcome, pb.Message.Outcome, message.outcome) or Outcome.OK,
        error_kind=message.error_kind,
        metadata=common.struct(message, "metadata") or {},
        create_time=common.time(message, "create_time"),
    )
