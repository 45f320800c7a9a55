"""Route requests. On the path of every Route: what can be looked up is not made."""

from __future__ import annotations

from functools import lru_cache, partial
from typing import TYPE_CHECKING, Any

from imrs_client import route_query
from imrs_client import v1 as pb
from imrs_client.query import Query
from imrs_client.tasks import Attachment
from imrs_server.domain.decision import NO_LIMITS, RouteQuery
from imrs_server.domain.model import CostTier, ModelType
from imrs_server.transport.convert import common
from imrs_server.transport.validation import validate

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from enum import StrEnum

# Programs ask the same again and again, but for what they send along: a message, the name of a request.
_known: dict[bytes, RouteQuery] = {}
MAX_KNOWN = 4096
MAX_KNOWN_BYTES = 256


def read(data: bytes) -> RouteQuery:
    """The query in the bytes of a RouteRequest, which is checked. Equal bytes get the same query, unless they
    are many or the request names itself.

    Raises InvalidRequest, and google.protobuf.message.DecodeError for bytes that are no message.
    """
    return _known.get(data) or _new(data, pb.RouteRequest.FromString(data))


def checked(request: pb.RouteRequest) -> RouteQuery:
    """The query of one request among others, as ``read`` gives it. Raises InvalidRequest."""
    data = request.SerializeToString()
    return _known.get(data) or _new(data, request)


def _new(data: bytes, request: pb.RouteRequest) -> RouteQuery:
    validate(request)
    if request.message or request.request_id or request.conversation_id or len(data) > MAX_KNOWN_BYTES:
        return query(request)
    if len(_known) >= MAX_KNOWN:
        _known.clear()
    found = _known[data] = query(request, repeated=True)
    return found


def query(request: pb.RouteRequest, *, repeated: bool = False) -> RouteQuery:
    """The query of a request that was checked. Raises InvalidRequest for an enum value that the contract does
    not know.
    """
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
    return RouteQuery(query=_one(Query(**asked)) if asked else NO_LIMITS, **about)


# Of equal ones there is one: whatever is made by a query, down to its row in the log, is then made once.
@lru_cache(maxsize=MAX_KNOWN)
def _one(query: Query) -> Query:
    return query


def detect_query(request: pb.DetectTaskRequest) -> RouteQuery:
    return RouteQuery(
        tenant_id=common.uuid(request.tenant_id),
        message=request.message,
        tools_used=tuple(request.tools_used),
        attachments=attachments(request.attachments),
    )


def attachments(files: Iterable[pb.Attachment]) -> tuple[Attachment, ...]:
    return tuple([Attachment(each.filename, each.mime_type) for each in files])


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
