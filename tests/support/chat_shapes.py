"""Providers that answer chats, each in the shape of its documentation, and ways to break off."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from imrs_server.adapters.providers.dialect import Access
from imrs_server.domain.chat import ChatMessage, ChatRequest
from imrs_server.domain.provider import Provider, ProviderType
from imrs_server.domain.secret import Secret
from tests.support.provider import answer

if TYPE_CHECKING:
    from tests.support.provider import Behaviour

KEY = "sk-sentinel-0123456789-abcdefghij"
HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n"
CHUNKED = HEAD.replace(b"\r\n\r\n", b"\r\ntransfer-encoding: chunked\r\n\r\n")


def access(
    url: str, dialect: str = "openai", *, key: str | None = KEY, endpoint: str = "/models", **options: Any
) -> Access:
    """A provider at this address, and the key to it."""
    provider = Provider(
        provider_id="mine",
        display_name="Mine",
        provider_type=ProviderType.CUSTOM,
        dialect=dialect,
        api_base=url,
        models_endpoint=endpoint,
        options=options,
    )
    return Access(provider=provider, key=Secret(key) if key is not None else None)


def request(text: str = "hello", **fields: Any) -> ChatRequest:
    """One message of a user."""
    messages = (ChatMessage(role="user", content=text),)
    return ChatRequest(**{"external_id": "m", "messages": messages, **fields})


def sse(*values: Any, end: bytes = b"data: [DONE]\n\n") -> bytes:
    """Events as OpenAI sends them."""
    return b"".join(b"data: " + json.dumps(each).encode() + b"\n\n" for each in values) + end


def named(*values: dict[str, Any]) -> bytes:
    """Events as Anthropic sends them: named by their type."""
    return b"".join(
        b"event: %s\ndata: %s\n\n" % (each["type"].encode(), json.dumps(each).encode()) for each in values
    )


def stream(body: bytes) -> Behaviour:
    """A stream that ends as it should."""
    return answer(body, kind="text/event-stream")


def delta(content: str | None = None, finish_reason: str | None = None, **told: Any) -> dict[str, Any]:
    """One of OpenAI's chunks."""
    said = {"content": content} if content is not None else {}
    choice = {"index": 0, "delta": {**said, **told}, "finish_reason": finish_reason}
    return {"id": "c", "object": "chat.completion.chunk", "model": "m", "choices": [choice]}


def usage(prompt: int, completion: int, cached: int = 0) -> dict[str, Any]:
    """OpenAI's numbers."""
    details = {"prompt_tokens_details": {"cached_tokens": cached}} if cached else {}
    return {"prompt_tokens": prompt, "completion_tokens": completion, **details}


def document(message: dict[str, Any], finish_reason: str = "stop", **members: Any) -> bytes:
    """OpenAI's answer in one piece."""
    choice = {"index": 0, "message": {"role": "assistant", **message}, "finish_reason": finish_reason}
    return json.dumps({"id": "c", "object": "chat.completion", "choices": [choice], **members}).encode()


def message_start(**tokens: int) -> dict[str, Any]:
    """The first of Anthropic's events."""
    told = {"id": "msg_1", "type": "message", "role": "assistant", "model": "m", "content": []}
    return {"type": "message_start", "message": {**told, "usage": tokens}}


def text_block(index: int, *pieces: str) -> list[dict[str, Any]]:
    """A block of text in Anthropic's events."""
    block = {"type": "text", "text": ""}
    return [
        {"type": "content_block_start", "index": index, "content_block": block},
        *(
            {"type": "content_block_delta", "index": index, "delta": {"type": "text_delta", "text": each}}
            for each in pieces
        ),
        {"type": "content_block_stop", "index": index},
    ]


def tool_block(index: int, id: str, name: str, *pieces: str) -> list[dict[str, Any]]:
    """A tool call in Anthropic's events."""
    block = {"type": "tool_use", "id": id, "name": name, "input": {}}
    return [
        {"type": "content_block_start", "index": index, "content_block": block},
        *(
            {
                "type": "content_block_delta",
                "index": index,
                "delta": {"type": "input_json_delta", "partial_json": each},
            }
            for each in pieces
        ),
        {"type": "content_block_stop", "index": index},
    ]


def message_end(stop_reason: str, **tokens: int) -> list[dict[str, Any]]:
    """The last of Anthropic's events."""
    told = {"stop_reason": stop_reason, "stop_sequence": None}
    return [{"type": "message_delta", "delta": told, "usage": tokens}, {"type": "message_stop"}]


def broken_off(begun: bytes) -> Behaviour:
    """A beginning; then the connection is gone, in the middle of a chunked body."""

    def behave(handler: Any) -> None:
        handler.raw(CHUNKED + b"%x\r\n%s\r\n" % (len(begun), begun))

    return behave


def stalled(begun: bytes) -> Behaviour:
    """A beginning, and then nothing."""

    def behave(handler: Any) -> None:
        handler.raw(HEAD + begun)
        handler.provider.stopping.wait(30)

    return behave


def kept_open(begun: bytes, again: bytes) -> Behaviour:
    """A beginning, and then the same again and again: no read ever waits for long."""

    def behave(handler: Any) -> None:
        handler.raw(HEAD + begun)
        while not handler.provider.stopping.wait(0.02):
            handler.raw(again)

    return behave


def flood(piece: bytes, times: int, head: bytes = HEAD) -> Behaviour:
    """A piece, as fast as it goes."""

    def behave(handler: Any) -> None:
        handler.raw(head)
        for _ in range(times):
            handler.raw(piece)

    return behave


def one_by_one(body: bytes) -> Behaviour:
    """A stream that comes byte by byte."""

    def behave(handler: Any) -> None:
        handler.raw(HEAD)
        for at in range(len(body)):
            handler.raw(body[at : at + 1])

    return behave


def fragment(index: int | None, id: str | None = None, name: str | None = None, arguments: Any = "") -> Any:
    """A piece of a tool call in OpenAI's events."""
    told: dict[str, Any] = {"function": {"arguments": arguments}, "type": "function"}
    if index is not None:
        told["index"] = index
    if id is not None:
        told["id"] = id
    if name is not None:
        told["function"]["name"] = name
    return told
