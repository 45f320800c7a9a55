"""A request in Anthropic's shape: {model, system, messages, tools, tool_choice, max_tokens, stream, ...}.

System texts stand beside the conversation, tool calls and their results are blocks inside it, and the results
of one turn belong into one message.
"""

from __future__ import annotations

import base64
import json
import re
from typing import TYPE_CHECKING, Any

from imrs_server.adapters.chat.parameters import exact
from imrs_server.adapters.chat.voice import unsayable
from imrs_server.domain.chat import ChatFailure, DataPart, FailureKind, ImagePart, TextPart

if TYPE_CHECKING:
    from imrs_server.domain.chat import ChatMessage, ChatRequest, Part, ToolCall

_SYSTEM = frozenset({"system", "developer"})
_RESULTS = frozenset({"tool", "function"})
_DATA_URL = re.compile(r"data:(?P<kind>[\w.+-]+/[\w.+-]+)(?:;[\w=.-]+)*;base64,(?P<data>.*)", re.DOTALL)
_NO_PARAMETERS: dict[str, Any] = {"type": "object", "properties": {}}


def messages(request: ChatRequest) -> dict[str, Any]:
    """The conversation, as ``messages`` and ``system``. Raises ChatFailure."""
    system: list[dict[str, Any]] = []
    turns: list[dict[str, Any]] = []
    for message in request.messages:
        if message.role in _SYSTEM:
            system += _blocks(message)
            continue
        role, blocks = _turn(message)
        if turns and turns[-1]["role"] == role:
            turns[-1]["content"] += blocks
        elif blocks:
            turns.append({"role": role, "content": blocks})
    if not turns:
        raise unsayable("a conversation without a user")
    return {"system": system, "messages": turns} if system else {"messages": turns}


def tools(request: ChatRequest) -> tuple[dict[str, Any], list[str]]:
    """The members about tools and the shape of the answer, and what is left out."""
    body: dict[str, Any] = {}
    dropped: list[str] = []
    if request.tools:
        body["tools"] = [_tool(exact(dict(tool))) for tool in request.tools]
        choice = _choice(request)
        if choice:
            body["tool_choice"] = choice
    elif request.tool_choice not in ("", "none", "auto"):
        dropped.append("tool_choice")
    if request.response_format:
        shape = _shape(exact(dict(request.response_format)))
        if shape is None:
            dropped.append("response_format")
        else:
            body["output_config"] = {"format": shape}
    return body, dropped


def _turn(message: ChatMessage) -> tuple[str, list[dict[str, Any]]]:
    blocks = _blocks(message)
    if message.role in _RESULTS:
        result: dict[str, Any] = {"type": "tool_result", "tool_use_id": message.tool_call_id}
        return "user", [{**result, "content": blocks} if blocks else result]
    blocks += [_use(call) for call in message.tool_calls]
    return ("assistant" if message.role == "assistant" else "user"), blocks


def _use(call: ToolCall) -> dict[str, Any]:
    try:
        arguments = json.loads(call.arguments or "{}")
    except (ValueError, RecursionError):
        arguments = None
    if not isinstance(arguments, dict):
        raise ChatFailure(
            FailureKind.UNSUPPORTED, "the arguments of a tool call in the conversation are no JSON object"
        )
    return {"type": "tool_use", "id": call.id, "name": call.name, "input": arguments}


def _blocks(message: ChatMessage) -> list[dict[str, Any]]:
    # A block of text that is empty is an error.
    first = [TextPart(message.content)] if message.content else []
    parts: list[Part] = [*first, *message.parts]
    return [_block(part) for part in parts if not isinstance(part, TextPart) or part.text]


def _block(part: Part) -> dict[str, Any]:
    match part:
        case TextPart():
            return {"type": "text", "text": part.text}
        case ImagePart():
            inline = _DATA_URL.fullmatch(part.url)
            if inline is None:
                return {"type": "image", "source": {"type": "url", "url": part.url}}
            return _inline(inline["kind"], inline["data"])
        case DataPart():
            if part.mime_type.startswith("text/"):
                return {"type": "text", "text": part.data.decode("utf-8", "replace")}
            return _inline(part.mime_type, base64.b64encode(part.data).decode("ascii"))


def _inline(kind: str, data: str) -> dict[str, Any]:
    if kind.startswith("image/"):
        block = "image"
    elif kind == "application/pdf":
        block = "document"
    else:
        raise unsayable(f"data of the type {kind or 'that is not given'}")
    return {"type": block, "source": {"type": "base64", "media_type": kind, "data": data}}


def _tool(tool: dict[str, Any]) -> dict[str, Any]:
    function = tool.get("function")
    if not isinstance(function, dict):
        # One of its own, as its documentation has it.
        return tool
    told: dict[str, Any] = {
        "name": function.get("name", ""),
        "input_schema": function.get("parameters") or _NO_PARAMETERS,
    }
    for name in ("description", "strict"):
        if function.get(name):
            told[name] = function[name]
    return told


def _choice(request: ChatRequest) -> dict[str, Any]:
    choice: dict[str, Any]
    match request.tool_choice:
        case "":
            choice = {}
        case "auto" | "none":
            choice = {"type": request.tool_choice}
        case "required":
            choice = {"type": "any"}
        case name:
            choice = {"type": "tool", "name": name}
    if request.parameters.extra.get("parallel_tool_calls") is False and choice.get("type") != "none":
        choice = {"type": "auto", **choice, "disable_parallel_tool_use": True}
    return choice


def _shape(wanted: dict[str, Any]) -> dict[str, Any] | None:
    """A schema; that the answer is JSON, and nothing more, cannot be asked for."""
    described = wanted.get("json_schema")
    schema = described.get("schema") if isinstance(described, dict) else None
    if wanted.get("type") != "json_schema" or not isinstance(schema, dict):
        return None
    return {"type": "json_schema", "schema": schema}
