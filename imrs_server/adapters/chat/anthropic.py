"""Anthropic's messages.

POST {base}/messages -> ``{"content": [{"type": "text", "text"}, {"type": "tool_use", "id", "name", "input"}],
"stop_reason", "usage": {"input_tokens", "cache_creation_input_tokens", "cache_read_input_tokens",
"output_tokens"}}``; as a stream message_start, content_block_start, content_block_delta, content_block_stop,
message_delta, message_stop, with ping and error in between. Cached tokens are not among input_tokens.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from imrs_server.adapters import json_stream
from imrs_server.adapters.chat import anthropic_request, doors, parameters
from imrs_server.adapters.chat.openai_request import details
from imrs_server.adapters.chat.text import Pieces, whole
from imrs_server.adapters.chat.voice import Composed, Refused, count, encode
from imrs_server.adapters.failures import Unusable
from imrs_server.adapters.http import Call
from imrs_server.adapters.providers import anthropic
from imrs_server.domain.chat import Delta, FinishReason, Thought, TokenUsage, ToolCall

if TYPE_CHECKING:
    from collections.abc import Iterator

    from imrs_server.adapters.chat.sse import Event
    from imrs_server.adapters.providers.dialect import Access
    from imrs_server.domain.chat import ChatRequest, Piece

_CALLS_MOST = 128
_ID_CHARACTERS = 255
_REASONS = {
    "max_tokens": FinishReason.LENGTH,
    "model_context_window_exceeded": FinishReason.LENGTH,
    "tool_use": FinishReason.TOOL_CALLS,
    "refusal": FinishReason.CONTENT_FILTER,
}
# What is redacted is enciphered, so how long it was nobody knows.
_THOUGHTS = frozenset({"thinking", "redacted_thinking"})
_READ, _WRITTEN, _NEW, _OUT = (
    "cache_read_input_tokens",
    "cache_creation_input_tokens",
    "input_tokens",
    "output_tokens",
)


class AnthropicVoice:
    """Speaks to Anthropic, and to what copies it."""

    def compose(self, access: Access, request: ChatRequest) -> Composed:
        given, dropped = parameters.for_anthropic(access, request)
        about_tools, undone = anthropic_request.tools(request)
        config = {**given.pop("output_config", {}), **about_tools.pop("output_config", {})}
        body = {
            **given,
            **about_tools,
            **({"output_config": config} if config else {}),
            "model": request.external_id,
            **anthropic_request.messages(request),
        }
        headers = anthropic.headers(access)
        if request.stream:
            body["stream"] = True
            headers["accept"] = "text/event-stream"
        url = doors.beside_models(access, "/messages")
        call = Call(url=url, headers=headers, body=encode(body))
        return Composed(call=call, dropped=(*dropped, *undone, *details(request)))

    def answer(self) -> AnthropicAnswer:
        return AnthropicAnswer()


class AnthropicAnswer:
    """Reads one answer in Anthropic's shape."""

    def __init__(self) -> None:
        self.finish_reason: FinishReason | None = None
        self.is_done = False
        self._tokens: dict[str, int] = {}
        self._counted_ahead = False
        self._content = Pieces()
        # Their block to our call; a call whose input has not begun yet.
        self._calls: dict[int | None, int] = {}
        self._bare: set[int] = set()
        self._inputs: dict[int, Pieces] = {}

    @property
    def usage(self) -> TokenUsage | None:
        if not any(self._tokens.values()):
            return None
        cached = self._tokens.get(_READ, 0)
        return TokenUsage(
            prompt_tokens=self._tokens.get(_NEW, 0) + self._tokens.get(_WRITTEN, 0) + cached,
            completion_tokens=self._tokens.get(_OUT, 0),
            cached_tokens=cached,
        )

    def event(self, event: Event) -> Iterator[Piece]:
        value = json_stream.parse(event.data)
        if not isinstance(value, dict):
            raise Unusable("an event of the answer is not an object")
        match value.get("type") or event.name:
            case "message_start":
                self._count(_object(value, "message").get("usage"))
                self._counted_ahead = True
            case "content_block_start":
                self._forget_ahead()
                yield from self._begin(_number(value), _object(value, "content_block"))
            case "content_block_delta":
                yield from self._continue(_number(value), _object(value, "delta"))
            case "content_block_stop":
                yield from self._end(_number(value))
            case "message_delta":
                self._count(value.get("usage"))
                self._finish(_object(value, "delta").get("stop_reason"))
            case "message_stop":
                self.is_done = True
            case "error":
                raise Refused(value)

    def document(self, value: dict[str, Any]) -> Iterator[Piece]:
        self.is_done = True
        if value.get("type") == "error":
            raise Refused(value)
        blocks = value.get("content")
        if not isinstance(blocks, list):
            raise Unusable("the answer has no content")
        self._count(value.get("usage"))
        for index, block in enumerate(each for each in blocks if isinstance(each, dict)):
            yield from self._begin(index, block)
            yield from self._end(index)
        self._finish(value.get("stop_reason"))

    def _begin(self, theirs: int | None, block: dict[str, Any]) -> Iterator[Piece]:
        if block.get("type") == "text":
            text = self._content.add(block.get("text"))
            if text:
                yield Delta(content=text)
        elif block.get("type") == "tool_use":
            yield Delta(tool_calls=(self._call(theirs, block),))
        elif block.get("type") in _THOUGHTS:
            yield _thought(block)

    def _call(self, theirs: int | None, block: dict[str, Any]) -> ToolCall:
        index = len(self._inputs)
        if index == _CALLS_MOST:
            raise Unusable(f"the answer has more than {_CALLS_MOST} tool calls")
        self._calls[theirs] = index
        self._inputs[index] = Pieces()
        given = block.get("input")
        arguments = json.dumps(given) if given else ""
        if not arguments:
            self._bare.add(index)
        return ToolCall(
            id=whole(str(block.get("id", "")))[:_ID_CHARACTERS],
            name=whole(str(block.get("name", "")))[:_ID_CHARACTERS],
            arguments=arguments,
            index=index,
        )

    def _continue(self, theirs: int | None, delta: dict[str, Any]) -> Iterator[Piece]:
        if delta.get("type") == "text_delta":
            text = self._content.add(delta.get("text"))
            if text:
                yield Delta(content=text)
        elif delta.get("type") == "thinking_delta":
            yield _thought(delta)
        elif delta.get("type") == "input_json_delta" and theirs in self._calls:
            index = self._calls[theirs]
            piece = self._inputs[index].add(delta.get("partial_json"))
            if piece:
                self._bare.discard(index)
                yield Delta(tool_calls=(ToolCall(arguments=piece, index=index),))

    def _end(self, theirs: int | None) -> Iterator[Delta]:
        index = self._calls.get(theirs)
        if index in self._bare:
            # A tool without parameters gets no input, which is no JSON.
            self._bare.discard(index)
            yield Delta(tool_calls=(ToolCall(arguments="{}", index=index),))

    def _finish(self, reason: object) -> None:
        if isinstance(reason, str) and reason:
            self.finish_reason = _REASONS.get(reason, FinishReason.STOP)

    def _forget_ahead(self) -> None:
        """What it counts of an answer before that begins says nothing of how long it gets."""
        if self._counted_ahead:
            self._counted_ahead = False
            self._tokens.pop(_OUT, None)

    def _count(self, usage: object) -> None:
        """Take what is told last: the numbers grow."""
        if isinstance(usage, dict):
            told = {name: count(usage[name]) for name in (_READ, _WRITTEN, _NEW, _OUT) if usage.get(name)}
            self._tokens |= told


def _thought(told: dict[str, Any]) -> Thought:
    text = told.get("thinking")
    return Thought(len(text) if isinstance(text, str) else 0)


def _number(value: dict[str, Any]) -> int | None:
    """Which block an event is about."""
    found = value.get("index")
    return found if isinstance(found, int) else None


def _object(value: dict[str, Any], member: str) -> dict[str, Any]:
    found = value.get(member)
    return found if isinstance(found, dict) else {}
