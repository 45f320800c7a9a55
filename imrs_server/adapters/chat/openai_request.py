"""A request in OpenAI's shape: {model, messages, tools, tool_choice, response_format, stream, ...}."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any

from imrs_server.adapters.chat.parameters import exact
from imrs_server.adapters.chat.voice import unsayable
from imrs_server.domain.chat import DataPart, ImagePart, TextPart

if TYPE_CHECKING:
    from imrs_server.adapters.chat.parameters import Vocabulary
    from imrs_server.domain.chat import ChatMessage, ChatRequest, Part

_SOUNDS = {"audio/wav": "wav", "audio/x-wav": "wav", "audio/mpeg": "mp3", "audio/mp3": "mp3"}
DETAIL = "image_url.detail"
_CHOICES = frozenset({"auto", "none", "required"})


def messages(request: ChatRequest, vocabulary: Vocabulary) -> tuple[list[dict[str, Any]], list[str]]:
    """The conversation, and what is left out. Raises ChatFailure."""
    dropped = [] if vocabulary.details else details(request)
    return [_message(each, vocabulary) for each in request.messages], dropped


def details(request: ChatRequest) -> list[str]:
    """How what is left out is called where nothing says how closely to look at an image."""
    parts = (part for message in request.messages for part in message.parts)
    is_asked = any(part.detail for part in parts if isinstance(part, ImagePart | DataPart))
    return [DETAIL] if is_asked else []


def tools(request: ChatRequest, vocabulary: Vocabulary) -> tuple[dict[str, Any], list[str]]:
    """The members about tools and the shape of the answer, and what is left out."""
    body: dict[str, Any] = {}
    dropped: list[str] = []
    if request.tools:
        body["tools"] = [exact(dict(tool)) for tool in request.tools]
        if request.tool_choice:
            body["tool_choice"] = _choice(request.tool_choice, vocabulary)
    elif request.tool_choice not in ("", "none", "auto"):
        # Without tools it is an error.
        dropped.append("tool_choice")
    if request.response_format:
        body["response_format"] = exact(dict(request.response_format))
    return body, dropped


def data_url(part: DataPart) -> str:
    """The bytes as a URL."""
    return f"data:{part.mime_type};base64,{base64.b64encode(part.data).decode('ascii')}"


def _message(message: ChatMessage, vocabulary: Vocabulary) -> dict[str, Any]:
    told: dict[str, Any] = {"role": message.role, "content": _content(message, vocabulary)}
    if message.tool_calls:
        told["tool_calls"] = [
            {
                "id": call.id,
                "type": "function",
                "function": {"name": call.name, "arguments": call.arguments or "{}"},
            }
            for call in message.tool_calls
        ]
        # Some read an empty text beside tool calls as an answer.
        told["content"] = told["content"] or None
    if message.tool_call_id:
        told["tool_call_id"] = message.tool_call_id
    if message.name and vocabulary.names:
        told["name"] = message.name
    return told


def _content(message: ChatMessage, vocabulary: Vocabulary) -> str | list[dict[str, Any]]:
    if not message.parts:
        return message.content
    first = [TextPart(message.content)] if message.content else []
    parts: list[Part] = [*first, *message.parts]
    return [_part(part, vocabulary) for part in parts]


def _part(part: Part, vocabulary: Vocabulary) -> dict[str, Any]:
    match part:
        case TextPart():
            return {"type": "text", "text": part.text}
        case ImagePart():
            return _image(part.url, part.detail, vocabulary)
        case DataPart():
            return _data(part, vocabulary)


def _image(url: str, detail: str, vocabulary: Vocabulary) -> dict[str, Any]:
    closely = {"detail": detail} if detail and vocabulary.details else {}
    return {"type": "image_url", "image_url": {"url": url, **closely}}


def _data(part: DataPart, vocabulary: Vocabulary) -> dict[str, Any]:
    kind = part.mime_type
    if kind.startswith("image/"):
        return _image(data_url(part), part.detail, vocabulary)
    if kind in _SOUNDS:
        data = base64.b64encode(part.data).decode("ascii")
        return {"type": "input_audio", "input_audio": {"data": data, "format": _SOUNDS[kind]}}
    if kind == "application/pdf":
        return {"type": "file", "file": {"filename": "document.pdf", "file_data": data_url(part)}}
    if kind.startswith("text/"):
        return {"type": "text", "text": part.data.decode("utf-8", "replace")}
    raise unsayable(f"data of the type {kind or 'that is not given'}")


def _choice(choice: str, vocabulary: Vocabulary) -> Any:
    if choice == "required":
        return vocabulary.required
    if choice in _CHOICES:
        return choice
    return {"type": "function", "function": {"name": choice}}
