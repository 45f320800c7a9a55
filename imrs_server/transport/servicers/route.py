"""RouteService: decisions, and what is kept of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import structlog

from imrs_client import v1 as pb
from imrs_server.adapters.network import Deadline
from imrs_server.domain.errors import InvalidRequest, Violation
from imrs_server.transport.call import patience_seconds, who
from imrs_server.transport.convert import common, completions, embeddings, replays, reports, route_queries
from imrs_server.transport.convert import routes as convert
from imrs_server.transport.items import to_item_error

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from uuid import UUID

    import grpc

    from imrs_server.domain.decision import Decision, RouteQuery
    from imrs_server.domain.principal import Principal
    from imrs_server.transport.paging import Pager
    from imrs_server.transport.watch.hub import Hub
    from imrs_server.use_cases.complete import Completions
    from imrs_server.use_cases.decisions import Decisions
    from imrs_server.use_cases.replay import Replays
    from imrs_server.use_cases.reports import DecisionReports
    from imrs_server.use_cases.route import Router
    from imrs_server.use_cases.watched import WatchedAgents

log = structlog.get_logger()

# Where neither the request nor the call says how long.
_COMPLETE_SECONDS = 600.0
# For the message to be stored and the end to be told in.
_LAST_WORDS_SECONDS = 0.25


class RouteServicer(pb.RouteServiceServicer):
    """Every method of RouteService that is built."""

    def __init__(
        self,
        *,
        router: Router,
        decisions: Decisions,
        replays: Replays,
        watched: WatchedAgents,
        hub: Hub,
        reports: DecisionReports,
        completions: Completions,
        pager: Pager,
    ) -> None:
        self.router = router
        self.decisions = decisions
        self.replays = replays
        self.watched = watched
        self.hub = hub
        self.reports = reports
        self.completions = completions
        self.pager = pager

    # Most of a request and of its answer was seen before: neither becomes a message again.
    def Route(self, request: RouteQuery, _context: grpc.ServicerContext) -> bytes:  # type: ignore[override]
        return convert.to_bytes(self.router.route(who(), request))

    Route.reads = route_queries.read  # type: ignore[attr-defined]
    Route.answers_bytes = True  # type: ignore[attr-defined]

    def ExplainRoute(self, request: pb.RouteRequest, _context: grpc.ServicerContext) -> pb.Decision:
        return convert.to_proto(self.router.explain(who(), route_queries.query(request)))

    def DetectTask(self, request: pb.DetectTaskRequest, _context: grpc.ServicerContext) -> pb.TaskDetection:
        return convert.to_detection(self.router.detect(who(), route_queries.detect_query(request)))

    def BatchRoute(  # type: ignore[override]
        self, request: pb.BatchRouteRequest, _context: grpc.ServicerContext
    ) -> bytes:
        caller = who()
        return convert.to_batch([self._answer(caller, each, "BatchRoute") for each in request.requests])

    BatchRoute.answers_bytes = True  # type: ignore[attr-defined]

    def StreamRoutes(  # type: ignore[override]
        self, request_iterator: Iterable[pb.RouteRequest], _context: grpc.ServicerContext
    ) -> Iterator[bytes]:
        caller = who()
        return (self._answer(caller, each, "StreamRoutes") for each in request_iterator)

    StreamRoutes.answers_bytes = True  # type: ignore[attr-defined]

    def GetDecision(self, request: pb.GetDecisionRequest, _context: grpc.ServicerContext) -> pb.Decision:
        tenant_id, decision_id = common.uuid(request.tenant_id), common.uuid(request.decision_id)
        return convert.to_proto(self.decisions.get(who(), tenant_id, cast("UUID", decision_id)))

    def ListDecisions(
        self, request: pb.ListDecisionsRequest, _context: grpc.ServicerContext
    ) -> pb.ListDecisionsResponse:
        page = self.decisions.list(
            who(),
            common.uuid(request.tenant_id),
            self.pager.start(request),
            agent_id=request.agent_id,
            reason=convert.reason(request.reason),
            start_time=common.time(request, "start_time"),
            end_time=common.time(request, "end_time"),
        )
        return pb.ListDecisionsResponse(
            decisions=[convert.to_proto(each) for each in page.items],
            next_page_token=self.pager.next_token(request, page),
            total_size=page.total_size,
        )

    def ReplayDecisions(
        self, request: pb.ReplayDecisionsRequest, _context: grpc.ServicerContext
    ) -> pb.ReplayDecisionsResponse:
        found = self.replays.replay(
            who(),
            common.uuid(request.tenant_id),
            request.agent_id,
            replays.what_if(request),
            start_time=common.time(request, "start_time"),
            end_time=common.time(request, "end_time"),
        )
        return replays.to_proto(found)

    # As Watch of the health service: it is given where to send to, and returns.
    def WatchAgent(  # type: ignore[override]
        self,
        request: pb.WatchAgentRequest,
        context: grpc.ServicerContext,
        send: Callable[[bytes | None], None],
    ) -> None:
        self.hub.join(
            self.watched.find(who(), common.uuid(request.tenant_id), request.agent_id),
            context,
            send,
            from_revision=request.from_revision,
            from_fingerprint=request.from_fingerprint,
        )

    WatchAgent.experimental_non_blocking = True  # type: ignore[attr-defined]
    WatchAgent.answers_bytes = True  # type: ignore[attr-defined]

    def RecordDecisions(
        self, request: pb.RecordDecisionsRequest, context: grpc.ServicerContext
    ) -> pb.RecordDecisionsResponse:
        caller = who()
        told = zip(request.decisions, reports.contexts(request), strict=True)
        found = [each for each in (_reported(*each, caller) for each in told) if each]
        accepted = self.reports.take(caller, found, patience_seconds=patience_seconds(context))
        return pb.RecordDecisionsResponse(accepted_count=accepted)

    def Complete(
        self, request: pb.CompleteRequest, context: grpc.ServicerContext
    ) -> Iterator[pb.CompleteEvent]:
        deadline = Deadline(_seconds(request, context))
        if not context.add_callback(deadline.cut):
            return
        for event in self.completions.complete(who(), completions.query(request), deadline):
            yield completions.to_event(event)

    def Embed(self, request: pb.EmbedRequest, context: grpc.ServicerContext) -> pb.EmbedResponse:
        deadline = Deadline(_seconds(request, context))
        context.add_callback(deadline.cut)
        return embeddings.to_response(self.completions.complete(who(), embeddings.query(request), deadline))

    def _answer(self, caller: Principal, request: Any, method: str) -> bytes:
        """An answer of its own for each item; a bad one fails alone."""
        try:
            return convert.to_bytes(self.router.route(caller, _checked(request)))
        except Exception as error:  # noqa: BLE001  (every failure becomes the item's)
            request_id = getattr(request, "request_id", "")
            return pb.Decision(request_id=request_id, error=to_item_error(error, method)).SerializeToString()


def _seconds(request: pb.CompleteRequest | pb.EmbedRequest, context: grpc.ServicerContext) -> float:
    """How long it may take: as the request says, and so that the caller still hears how it ended."""
    asked = common.duration(request, "timeout")
    wished_seconds = asked.total_seconds() if asked is not None else _COMPLETE_SECONDS
    remaining_seconds = context.time_remaining()
    if remaining_seconds is None:
        return wished_seconds
    return min(wished_seconds, max(remaining_seconds - _LAST_WORDS_SECONDS, remaining_seconds / 2))


def _reported(told: pb.Decision, context: reports.Context | None, caller: Principal) -> Decision | None:
    """None for a malformed one: it is not accepted, and the others are."""
    try:
        return reports.decision(told, caller, context)
    except InvalidRequest as error:
        log.warning("decision.malformed", decision_id=told.decision_id[:36], detail=error.message[:300])
        return None


def _checked(request: Any) -> RouteQuery:
    if not isinstance(request, pb.RouteRequest):
        raise InvalidRequest(Violation("", "the bytes are not a RouteRequest"))
    return route_queries.checked(request)
