"""A request for a chat completion in OpenAI's shape, as a CompleteRequest."""

from __future__ import annotations

import base64
import binascii
from typing import TYPE_CHECKING, Any

from imrs_client import v1 as pb
from imrs_server.console.door import members
from imrs_server.console.door.refusals import Refused

if TYPE_CHECKING:
    from collections.abc import Mapping

# Those that have a place of their own; the others go to the provider as they are, if it knows them.
_PLACED = frozenset(
    {
        "imrs",
        "max_completion_tokens",
        "max_tokens",
        "messages",
        "metadata",
        "model",
        "n",
        "response_format",
        "stop",
        "stream",
        "stream_options",
        "temperature",
        "tool_choice",
        "tools",
        "top_p",
    }
)
_SOUNDS = {"wav": "audio/wav", "mp3": "audio/mpeg"}
_CHOICES = frozenset({"auto", "none", "required"})


def read(body: Mapping[str, Any], request_id: str) -> pb.CompleteRequest:
    """The same for the service. Raises Refused."""
    _require_known(body)
    asked = pb.CompleteRequest(
        route=members.route(body, request_id),
        messages=[_message(each, f"messages[{at}].") for at, each in _messages(body)],
        tools=[members.struct(each, "tools") for each in members.tables(body, "tools")],
        tool_choice=_tool_choice(body.get("tool_choice")),
        stream=body.get("stream") is True,
    )
    asked.route.parameters.MergeFrom(_parameters(body))
    shape = members.table(body, "response_format")
    if shape.get("type", "text") != "text":
        asked.response_format.CopyFrom(members.struct(shape, "response_format"))
    members.settings(body, asked)
    return asked


def wants_usage(body: Mapping[str, Any]) -> bool:
    """Whether the stream is to end with the usage."""
    return members.table(body, "stream_options").get("include_usage") is True


def _require_known(body: Mapping[str, Any]) -> None:
    if body.get("n") not in (None, 1):
        raise Refused("n must be 1: one answer is made.", param="n")
    for name, instead in (("functions", "tools"), ("function_call", "tool_choice")):
        if body.get(name) is not None:
            raise Refused(f"{name} is not taken; use {instead}.", param=name)
    if body.get("modalities") not in (None, [], ["text"]):
        raise Refused('modalities must be ["text"]: no sound comes back.', param="modalities")


def _messages(body: Mapping[str, Any]) -> enumerate[dict[str, Any]]:
    found = members.tables(body, "messages")
    if not found:
        raise Refused("messages is needed: one at least.", param="messages")
    return enumerate(found)


def _parameters(body: Mapping[str, Any]) -> pb.Parameters:
    limit = members.whole(body, "max_completion_tokens")
    found = pb.Parameters(
        temperature=members.number(body, "temperature"),
        top_p=members.number(body, "top_p"),
        max_output_tokens=members.whole(body, "max_tokens") if limit is None else limit,
    )
    stop = body.get("stop")
    if stop is not None:
        stops = [stop] if isinstance(stop, str) else stop
        if not isinstance(stops, list) or not all(isinstance(each, str) for each in stops):
            raise Refused("stop must be a string or a list of strings.", param="stop")
        found.stop.CopyFrom(pb.StringList(values=stops))
    extra = {name: value for name, value in body.items() if name not in _PLACED and value is not None}
    if extra:
        found.extra.CopyFrom(members.struct(extra, "the body"))
    return found


def _tool_choice(choice: Any) -> str:
    if choice is None:
        return ""
    if isinstance(choice, str) and choice in _CHOICES:
        return choice
    function = choice.get("function") if isinstance(choice, dict) else None
    name = function.get("name") if isinstance(function, dict) else None
    if not isinstance(name, str) or not name:
        raise Refused(
            "tool_choice must be auto, none, required or {type: function, function: {name}}.",
            param="tool_choice",
        )
    return name


def _message(told: Mapping[str, Any], at: str) -> pb.ChatMessage:
    found = pb.ChatMessage(
        role=members.text(told, "role", at),
        tool_call_id=members.text(told, "tool_call_id", at),
        name=members.text(told, "name", at),
        tool_calls=[_call(each, at) for each in members.tables(told, "tool_calls", at)],
    )
    content = told.get("content")
    if isinstance(content, list):
        for index, part in enumerate(members.tables(told, "content", at)):
            found.parts.append(_part(part, f"{at}content[{index}]"))
    else:
        found.content = members.text(told, "content", at) or members.text(told, "refusal", at)
    return found


def _call(told: Mapping[str, Any], at: str) -> pb.ToolCall:
    function = members.table(told, "function", f"{at}tool_calls.")
    return pb.ToolCall(
        id=members.text(told, "id", at),
        name=members.text(function, "name", at),
        arguments=members.text(function, "arguments", at),
    )


def _part(part: Mapping[str, Any], at: str) -> pb.ChatMessage.Part:
    match part.get("type"):
        case "text":
            return pb.ChatMessage.Part(text=members.text(part, "text", f"{at}."))
        case "refusal":
            return pb.ChatMessage.Part(text=members.text(part, "refusal", f"{at}."))
        case "image_url":
            image = members.table(part, "image_url", f"{at}.")
            return pb.ChatMessage.Part(
                image_url=members.text(image, "url", f"{at}.image_url."),
                image_detail=members.text(image, "detail", f"{at}.image_url."),
            )
        case "input_audio":
            sound = members.table(part, "input_audio", f"{at}.")
            kind = _SOUNDS.get(members.text(sound, "format"), "")
            return _data(members.text(sound, "data"), kind, at)
        case "file":
            file = members.table(part, "file", f"{at}.")
            if file.get("file_data") is None:
                raise Refused(f"{at}.file needs file_data: no files are kept here.", param=f"{at}.file")
            head, _, data = members.text(file, "file_data").partition(";base64,")
            return _data(data, head.removeprefix("data:"), at)
        case _:
            raise Refused(
                f"{at}.type must be text, image_url, input_audio, file or refusal.", param=f"{at}.type"
            )


def _data(encoded: str, kind: str, at: str) -> pb.ChatMessage.Part:
    try:
        return pb.ChatMessage.Part(data=base64.b64decode(encoded, validate=True), mime_type=kind)
    except (binascii.Error, ValueError):
        raise Refused(f"{at} is not base64.", param=at) from None
