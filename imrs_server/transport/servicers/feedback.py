"""FeedbackService."""

from __future__ import annotations

from typing import TYPE_CHECKING
from uuid import UUID

from imrs_client import v1 as pb
from imrs_server.transport.call import committed, patience_seconds, who
from imrs_server.transport.convert import common
from imrs_server.transport.convert import feedback as convert
from imrs_server.transport.convert import messages as convert_messages
from imrs_server.transport.convert import usage as convert_usage
from imrs_server.transport.items import answer_each, answer_together

if TYPE_CHECKING:
    import grpc

    from imrs_server.transport.paging import Pager
    from imrs_server.use_cases.feedback import FeedbackDesk
    from imrs_server.use_cases.messages import Messages
    from imrs_server.use_cases.performance import PerformanceReport
    from imrs_server.use_cases.usage import UsageDesk
    from imrs_server.use_cases.voting import Ballot


class FeedbackServicer(pb.FeedbackServiceServicer):
    """All of FeedbackService."""

    def __init__(
        self,
        messages: Messages,
        feedback: FeedbackDesk,
        performance: PerformanceReport,
        usage: UsageDesk,
        pager: Pager,
    ) -> None:
        self.messages = messages
        self.feedback = feedback
        self.performance = performance
        self.usage = usage
        self.pager = pager

    def RecordMessage(self, request: pb.RecordMessageRequest, context: grpc.ServicerContext) -> pb.Message:
        report, key = (
            convert_messages.report(request.message),
            common.idempotency_key("RecordMessage", request),
        )
        written = self.messages.record(who(), common.uuid(request.tenant_id), report, key=key)
        return convert_messages.to_proto(committed(context, written))

    def BatchRecordMessages(
        self, request: pb.BatchRecordMessagesRequest, context: grpc.ServicerContext
    ) -> pb.BatchRecordMessagesResponse:
        answers = answer_each(
            "RecordMessage",
            request.requests,
            lambda each: self.RecordMessage(each, context),
            lambda error: pb.Message(error=error),
        )
        return pb.BatchRecordMessagesResponse(messages=answers)

    def SubmitFeedback(self, request: pb.SubmitFeedbackRequest, context: grpc.ServicerContext) -> pb.Feedback:
        vote, key = convert.submission(request), common.idempotency_key("SubmitFeedback", request)
        written = self.feedback.submit(
            who(), common.uuid(request.tenant_id), vote, key=key, patience_seconds=patience_seconds(context)
        )
        return convert.to_proto(committed(context, written))

    def BatchSubmitFeedback(
        self, request: pb.BatchSubmitFeedbackRequest, context: grpc.ServicerContext
    ) -> pb.BatchSubmitFeedbackResponse:
        def ballot(each: pb.SubmitFeedbackRequest) -> Ballot:
            vote, key = convert.submission(each), common.idempotency_key("SubmitFeedback", each)
            return self.feedback.check(who(), common.uuid(each.tenant_id), vote, key=key)

        answers = answer_together(
            "SubmitFeedback",
            request.requests,
            ballot,
            lambda ballots: self.feedback.count(ballots, patience_seconds=patience_seconds(context)),
            lambda written: convert.to_proto(committed(context, written)),
            lambda error: pb.Feedback(error=error),
        )
        return pb.BatchSubmitFeedbackResponse(feedback=answers)

    def RevokeFeedback(self, request: pb.RevokeFeedbackRequest, context: grpc.ServicerContext) -> pb.Feedback:
        written = self.feedback.revoke(who(), common.uuid(request.tenant_id), UUID(request.feedback_id))
        return convert.to_proto(committed(context, written))

    def ListFeedback(
        self, request: pb.ListFeedbackRequest, _context: grpc.ServicerContext
    ) -> pb.ListFeedbackResponse:
        page = self.feedback.list(
            who(), common.uuid(request.tenant_id), self.pager.start(request), convert.wanted(request)
        )
        return pb.ListFeedbackResponse(
            feedback=[convert.to_proto(each) for each in page.items],
            next_page_token=self.pager.next_token(request, page),
            total_size=page.total_size,
        )

    def ListPerformance(
        self, request: pb.ListPerformanceRequest, _context: grpc.ServicerContext
    ) -> pb.ListPerformanceResponse:
        page = self.performance.list(
            who(),
            common.uuid(request.tenant_id),
            self.pager.start(request),
            convert.performance_wanted(request),
        )
        return pb.ListPerformanceResponse(
            performance=[convert.to_performance(each) for each in page.items],
            next_page_token=self.pager.next_token(request, page),
            total_size=page.total_size,
        )

    def GetUsage(self, request: pb.GetUsageRequest, _context: grpc.ServicerContext) -> pb.GetUsageResponse:
        report = self.usage.report(
            who(),
            common.uuid(request.tenant_id),
            convert_usage.keys(request),
            start_time=common.time(request, "start_time"),
            end_time=common.time(request, "end_time"),
        )
        return convert_usage.to_proto(report)
