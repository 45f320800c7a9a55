"""Feedback and performance, both ways."""

from __future__ import annotations

from uuid import UUID

from imrs_client import v1 as pb
from imrs_server.domain.feedback import (
    Feedback,
    FeedbackFilter,
    FeedbackType,
    Signal,
    Submission,
    judge,
)
from imrs_server.domain.performance import Performance, PerformanceFilter, Point
from imrs_server.transport.convert import common


def to_proto(feedback: Feedback) -> pb.Feedback:
    return pb.Feedback(
        feedback_id=str(feedback.feedback_id),
        message_id=str(feedback.message_id),
        agent_id="" if feedback.pending else feedback.agent_id,
        model_id=feedback.model_id,
        task_type=feedback.task_type,
        rating=feedback.rating,
        feedback_type=common.number(pb.Feedback.Type, feedback.feedback_type),
        signal=common.number(pb.Feedback.Signal, feedback.signal),
        user_id=feedback.user_id,
        comment=feedback.comment,
        pending=feedback.pending,
        create_time=common.to_timestamp(feedback.create_time),
        revoke_time=common.to_timestamp(feedback.revoke_time),
    )


def submission(request: pb.SubmitFeedbackRequest) -> Submission:
    """A vote to store. Raises InvalidRequest for signal, type and rating that contradict each other."""
    return Submission(
        message_id=UUID(request.message_id),
        judgement=judge(
            common.member(Signal, pb.Feedback.Signal, request.signal),
            feedback_type(request.feedback_type),
            common.optional(request, "rating"),
        ),
        user_id=request.user_id,
        comment=request.comment,
        event_time=common.time(request, "event_time"),
    )


def wanted(request: pb.ListFeedbackRequest) -> FeedbackFilter:
    return FeedbackFilter(
        message_id=common.uuid(request.message_id),
        agent_id=request.agent_id,
        model_id=request.model_id,
        task_type=request.task_type,
        feedback_type=feedback_type(request.feedback_type),
        user_id=request.user_id,
        start_time=common.time(request, "start_time"),
        end_time=common.time(request, "end_time"),
    )


def feedback_type(number: int) -> FeedbackType | None:
    return common.member(FeedbackType, pb.Feedback.Type, number)


def to_performance(performance: Performance) -> pb.Performance:
    return pb.Performance(
        model_id=performance.model_id,
        agent_id=performance.agent_id,
        task_type=performance.task_type,
        avg_rating=performance.avg_rating,
        rating_count=performance.rating_count,
        usage_count=performance.usage_count,
        avg_latency_ms=performance.avg_latency_ms,
        p95_latency_ms=performance.p95_latency_ms,
        score=performance.score,
        lower=performance.lower,
        upper=performance.upper,
        shadow_count=performance.shadow_count,
        shadow_agreed_count=performance.shadow_agreed_count,
        shadow_rating_count=performance.shadow_rating_count,
        shadow_avg_rating=performance.shadow_avg_rating,
        trend=[_to_point(each) for each in performance.trend],
    )


def performance_wanted(request: pb.ListPerformanceRequest) -> PerformanceFilter:
    return PerformanceFilter(
        task_type=request.task_type,
        agent_id=request.agent_id,
        model_id=request.model_id,
        start_time=common.time(request, "start_time"),
        end_time=common.time(request, "end_time"),
    )


def _to_point(point: Point) -> pb.Performance.Point:
    return pb.Performance.Point(
        start_time=common.to_timestamp(point.start_time),
        avg_rating=point.avg_rating,
        rating_count=point.rating_count,
        usage_count=point.usage_count,
        avg_latency_ms=point.avg_latency_ms,
    )
