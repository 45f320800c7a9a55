"""Complete, both ways."""

from __future__ import annotations

from typing import TYPE_CHECKING

from imrs_client import v1 as pb
from imrs_server.domain import token_estimate
from imrs_server.domain.chat import ChatMessage, DataPart, Delta, ImagePart, TextPart, ToolCall
from imrs_server.domain.completion import AttemptFailed, Completed, CompletionQuery
from imrs_server.domain.errors import InvalidRequest, Violation
from imrs_server.transport.convert import common, route_queries, routes

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from typing import Any

    from imrs_server.domain.chat import Part, TokenUsage
    from imrs_server.domain.completion import CompletionEvent

# What Route reads of a message, at most.
_READ_CHARACTERS = 100_000
_ANY_IMAGE = "image/*"
# The kinds of files that ask for a capability.
_SEEN_OR_HEARD = ("image/", "audio/", "video/")
_MOST_ATTACHMENTS = 100
_MOST_TOOLS = 1_000
_DATA = "data:"


def query(request: pb.CompleteRequest) -> CompletionQuery:
    """Raises InvalidRequest for what no single field shows to be wrong."""
    if request.route.model_type not in (pb.Model.TYPE_UNSPECIFIED, pb.Model.CHAT):
        raise InvalidRequest(Violation("route.model_type", "must be CHAT or unset"))
    messages = tuple(_message(each) for each in request.messages)
    tools = tuple(common.struct_value(each) for each in request.tools)
    return CompletionQuery(
        route=route_queries.query(_route(request, messages, tools)),
        messages=messages,
        tools=tools,
        tool_choice=request.tool_choice,
        response_format=common.struct(request, "response_format") or {},
        stream=request.stream,
        max_attempts=request.max_attempts or None,
        metadata=common.struct(request, "metadata") or {},
        allow_mid_stream_fallback=request.allow_mid_stream_fallback,
    )


def to_event(event: CompletionEvent) -> pb.CompleteEvent:
    if isinstance(event, Delta):
        calls = [_to_call(each) for each in event.tool_calls]
        return pb.CompleteEvent(delta=pb.CompleteEvent.Delta(content=event.content, tool_calls=calls))
    if isinstance(event, AttemptFailed):
        return pb.CompleteEvent(
            attempt_failed=pb.CompleteEvent.AttemptFailed(
                model_id=event.model_id,
                error_kind=event.kind.value,
                detail=event.detail,
                partly_delivered=event.partly_delivered,
            )
        )
    if isinstance(event, Completed):
        return pb.CompleteEvent(
            completed=pb.CompleteEvent.Completed(
                message_id=str(event.message_id),
                model_id=event.model_id,
                finish_reason=event.finish_reason.value,
                usage=_to_usage(event.usage),
                cost_usd=common.to_decimal_text(event.cost_usd),
                latency_ms=event.latency_ms,
                dropped=event.dropped,
            )
        )
    return pb.CompleteEvent(decision=routes.to_proto(event))


def _to_usage(usage: TokenUsage) -> pb.TokenUsage:
    return pb.TokenUsage(
        prompt_tokens=usage.prompt_tokens,
        completion_tokens=usage.completion_tokens,
        cached_tokens=usage.cached_tokens,
        estimated=usage.estimated,
    )


def _to_call(call: ToolCall) -> pb.ToolCall:
    return pb.ToolCall(id=call.id, name=call.name, arguments=call.arguments, index=call.index)


def _message(message: pb.ChatMessage) -> ChatMessage:
    return ChatMessage(
        role=message.role,
        content=message.content,
        parts=tuple(_part(each) for each in message.parts),
        tool_calls=tuple(
            ToolCall(id=each.id, name=each.name, arguments=each.arguments, index=i)
            for i, each in enumerate(message.tool_calls)
        ),
        tool_call_id=message.tool_call_id,
        name=message.name,
    )


def _part(part: pb.ChatMessage.Part) -> Part:
    match part.WhichOneof("content"):
        case "image_url":
            return ImagePart(part.image_url, part.image_detail)
        case "data":
            return DataPart(part.data, part.mime_type, part.image_detail)
        case _:
            return TextPart(part.text)


def _route(
    request: pb.CompleteRequest, messages: Sequence[ChatMessage], tools: Iterable[Mapping[str, Any]]
) -> pb.RouteRequest:
    """What to choose a model for; where the request does not say, the conversation does."""
    route = pb.RouteRequest()
    route.CopyFrom(request.route)
    if not route.message:
        route.message = _last_words(messages)
    if not route.tools_used:
        route.tools_used.extend([name for each in tools if (name := _tool_name(each))][:_MOST_TOOLS])
    if not route.attachments:
        kinds = dict.fromkeys(kind for each in messages for part in each.parts if (kind := _kind(part)))
        route.attachments.extend(pb.Attachment(mime_type=each) for each in list(kinds)[:_MOST_ATTACHMENTS])
    if not route.estimated_prompt_tokens:
        route.estimated_prompt_tokens = token_estimate.of_prompt(messages, tools)
    return route


def _last_words(messages: Iterable[ChatMessage]) -> str:
    """What the user said last: that is what is to be done."""
    for each in reversed(tuple(messages)):
        if each.role == "user":
            texts = [each.content, *(part.text for part in each.parts if isinstance(part, TextPart))]
            return "\n".join(filter(None, texts))[:_READ_CHARACTERS]
    return ""


def _tool_name(tool: Mapping[str, Any]) -> str:
    function = tool.get("function")
    name = function.get("name") if isinstance(function, dict) else tool.get("name")
    return name if isinstance(name, str) and 0 < len(name) <= 255 else ""


def _kind(part: Part) -> str:
    """The MIME type of an image, a sound or a film; empty for what any model reads, or an agent has read."""
    if isinstance(part, ImagePart):
        told = part.url.removeprefix(_DATA).partition(";")[0] if part.url.startswith(_DATA) else ""
        return told if told.startswith(_SEEN_OR_HEARD) else _ANY_IMAGE
    if isinstance(part, DataPart):
        return part.mime_type if part.mime_type.startswith(_SEEN_OR_HEARD) else ""
    return ""
