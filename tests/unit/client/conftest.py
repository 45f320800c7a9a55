from __future__ import annotations

from collections import deque
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from threading import Event
from typing import TYPE_CHECKING, Any

import grpc
import pytest
from google.protobuf.any_pb2 import Any as Packed
from google.protobuf.duration_pb2 import Duration
from google.rpc import error_details_pb2, status_pb2
from grpc_status import rpc_status

from imrs_client import v1

if TYPE_CHECKING:
    from collections.abc import Iterator

    from google.protobuf.message import Message


def packed(message: Message) -> Packed:
    detail = Packed()
    detail.Pack(message)
    return detail


def status(code: grpc.StatusCode, reason: str, *, domain: str = "imrs.dev", **metadata: str) -> Any:
    """What the service answers with: a google.rpc.Status with every detail that the contract knows."""
    violation = error_details_pb2.BadRequest.FieldViolation(field="agent_id", description="must be set")
    details = [
        error_details_pb2.ErrorInfo(domain=domain, reason=reason, metadata=metadata),
        error_details_pb2.BadRequest(field_violations=[violation]),
        error_details_pb2.RetryInfo(retry_delay=Duration(seconds=1, nanos=500_000_000)),
    ]
    return rpc_status.to_status(
        status_pb2.Status(code=code.value[0], message="in words", details=[packed(each) for each in details])
    )


@dataclass
class Service(
    v1.CatalogServiceServicer, v1.FeedbackServiceServicer, v1.RouteServiceServicer, v1.AdminServiceServicer
):
    """A few methods of the service, played back: what a test puts into `failures` comes first."""

    address: str = ""
    failures: deque[Any] = field(default_factory=deque)
    seen: list[tuple[Any, dict[str, Any]]] = field(default_factory=list)
    deadlines_seconds: list[float] = field(default_factory=list)
    arrived: Event = field(default_factory=Event)
    release: Event = field(default_factory=Event)
    revision: int = 0

    def _take(self, request: Any, context: grpc.ServicerContext) -> None:
        self.seen.append((request, dict(context.invocation_metadata())))
        self.deadlines_seconds.append(context.time_remaining())
        self.arrived.set()
        if self.failures:
            failure = self.failures.popleft()
            if failure is not None:
                context.abort_with_status(failure)
        if self.revision:
            context.set_trailing_metadata((("imrs-revision", str(self.revision)),))

    def Route(self, request: v1.RouteRequest, context: grpc.ServicerContext) -> v1.Decision:
        self._take(request, context)
        if request.agent_id == "slow":
            self.release.wait(60)
        return v1.Decision(agent_id=request.agent_id, tenant_id=request.tenant_id)

    def BatchRoute(
        self, request: v1.BatchRouteRequest, context: grpc.ServicerContext
    ) -> v1.BatchRouteResponse:
        self._take(request, context)
        return v1.BatchRouteResponse(decisions=[v1.Decision(agent_id=r.agent_id) for r in request.requests])

    def StreamRoutes(
        self, request_iterator: Iterator[v1.RouteRequest], context: grpc.ServicerContext
    ) -> Iterator[v1.Decision]:
        for request in request_iterator:
            yield self.Route(request, context)

    def Complete(
        self, request: v1.CompleteRequest, context: grpc.ServicerContext
    ) -> Iterator[v1.CompleteEvent]:
        self._take(request, context)
        yield v1.CompleteEvent(delta=v1.CompleteEvent.Delta(content="half"))
        context.abort_with_status(status(grpc.StatusCode.UNAVAILABLE, "PROVIDER_UNAVAILABLE"))

    def SyncProvider(
        self, request: v1.SyncProviderRequest, context: grpc.ServicerContext
    ) -> Iterator[v1.SyncProgress]:
        self._take(request, context)
        for stage in v1.SyncProgress.Stage.values():
            yield v1.SyncProgress(stage=stage)

    def CreateAgent(self, request: v1.CreateAgentRequest, context: grpc.ServicerContext) -> v1.Agent:
        self._take(request, context)
        return request.agent

    def ListModels(
        self, request: v1.ListModelsRequest, context: grpc.ServicerContext
    ) -> v1.ListModelsResponse:
        self._take(request, context)
        begin = int(request.page_token or 0)
        end = min(begin + request.page_size, 7)
        models = [v1.Model(model_id=f"p/{number}") for number in range(begin, end)]
        return v1.ListModelsResponse(models=models, next_page_token=str(end) if end < 7 else "", total_size=7)

    def RecordMessage(self, request: v1.RecordMessageRequest, context: grpc.ServicerContext) -> v1.Message:
        self._take(request, context)
        return request.message

    def SubmitFeedback(self, request: v1.SubmitFeedbackRequest, context: grpc.ServicerContext) -> v1.Feedback:
        self._take(request, context)
        return v1.Feedback(message_id=request.message_id, rating=request.rating, signal=request.signal)

    def BatchSubmitFeedback(
        self, request: v1.BatchSubmitFeedbackRequest, context: grpc.ServicerContext
    ) -> v1.BatchSubmitFeedbackResponse:
        self._take(request, context)
        return v1.BatchSubmitFeedbackResponse(
            feedback=[v1.Feedback(message_id=each.message_id) for each in request.requests]
        )


@pytest.fixture
def service() -> Iterator[Service]:
    played = Service()
    server = grpc.server(ThreadPoolExecutor(4), options=[("grpc.so_reuseport", 0)])
    v1.add_RouteServiceServicer_to_server(played, server)
    v1.add_CatalogServiceServicer_to_server(played, server)
    v1.add_FeedbackServiceServicer_to_server(played, server)
    v1.add_AdminServiceServicer_to_server(played, server)
    played.address = f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
    server.start()
    yield played
    played.release.set()
    server.stop(None).wait()
