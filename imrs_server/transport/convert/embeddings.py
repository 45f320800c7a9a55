"""Embed, both ways."""

from __future__ import annotations

from typing import TYPE_CHECKING

from imrs_client import v1 as pb
from imrs_server.domain import token_estimate
from imrs_server.domain.chat import Delta
from imrs_server.domain.completion import AttemptFailed
from imrs_server.domain.decision import Decision
from imrs_server.domain.embedding import TASK_TYPE, EmbeddingQuery
from imrs_server.domain.errors import InvalidRequest, Violation
from imrs_server.transport.convert import common, completions, route_queries, routes

if TYPE_CHECKING:
    from collections.abc import Iterable

    from imrs_server.domain.completion import CompletionEvent


def query(request: pb.EmbedRequest) -> EmbeddingQuery:
    """Raises InvalidRequest for what no single field shows to be wrong."""
    if request.route.model_type not in (pb.Model.TYPE_UNSPECIFIED, pb.Model.EMBEDDING):
        raise InvalidRequest(Violation("route.model_type", "must be EMBEDDING or unset"))
    return EmbeddingQuery(
        route=route_queries.query(_route(request)),
        inputs=tuple(request.inputs),
        dimensions=request.dimensions or None,
        max_attempts=request.max_attempts or None,
        metadata=common.struct(request, "metadata") or {},
    )


def to_response(events: Iterable[CompletionEvent]) -> pb.EmbedResponse:
    """All that came. Raises what the events raise."""
    found = pb.EmbedResponse()
    for event in events:
        if isinstance(event, Decision):
            found.decision.CopyFrom(routes.to_proto(event))
        elif isinstance(event, Delta):
            found.vectors.extend(pb.EmbedResponse.Vector(values=each) for each in event.vectors)
        elif isinstance(event, AttemptFailed):
            found.failed_attempts.append(completions.to_event(event).attempt_failed)
        else:
            end = completions.to_event(event).completed
            found.message_id, found.model_id = end.message_id, end.model_id
            found.usage.CopyFrom(end.usage)
            found.cost_usd, found.latency_ms = end.cost_usd, end.latency_ms
            found.dropped.extend(end.dropped)
    return found


def _route(request: pb.EmbedRequest) -> pb.RouteRequest:
    """What to choose a model for: one that embeds, and no other in its place."""
    route = pb.RouteRequest()
    route.CopyFrom(request.route)
    route.model_type = pb.Model.EMBEDDING
    route.max_fallbacks = 0
    route.task_type = route.task_type or TASK_TYPE
    if not route.estimated_prompt_tokens:
        # The window is for each text by itself.
        longest = max(map(len, request.inputs), default=0)
        route.estimated_prompt_tokens = token_estimate.of_characters(longest)
    return route
