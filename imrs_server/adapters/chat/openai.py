"""OpenAI's chat completions, and the many services that copy them.

POST {base}/chat/completions -> ``{"choices": [{"message": {"content", "refusal", "tool_calls"},
"finish_reason"}], "usage": {"prompt_tokens", "completion_tokens", "total_tokens", "prompt_tokens_details":
{"cached_tokens"}}}``; as a stream events of ``{"choices": [{"delta": {...}, "finish_reason"}]}``, the usage
in the last one or in one of its own without choices, then ``[DONE]``. Copies put the usage into ``x_groq`` or
into every event, count tool calls wrongly or not at all, and send errors as events of status 200.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from imrs_server.adapters import json_stream
from imrs_server.adapters.chat import doors, openai_request, parameters
from imrs_server.adapters.chat.text import Pieces, whole
from imrs_server.adapters.chat.voice import Composed, Refused, count, encode
from imrs_server.adapters.failures import Unusable
from imrs_server.adapters.http import Call
from imrs_server.domain.chat import Delta, FinishReason, Thought, TokenUsage, ToolCall

if TYPE_CHECKING:
    from collections.abc import Iterator

    from imrs_server.adapters.chat.sse import Event
    from imrs_server.adapters.providers.dialect import Access
    from imrs_server.domain.chat import ChatRequest, Piece

_CALLS_MOST = 128
_ID_CHARACTERS = 255
# Some give the same text under both.
_THOUGHTS = ("reasoning_content", "reasoning", "thinking")
_DONE = b"[DONE]"
_REASONS = {
    "stop": FinishReason.STOP,
    "eos": FinishReason.STOP,
    "complete": FinishReason.STOP,
    "length": FinishReason.LENGTH,
    "max_tokens": FinishReason.LENGTH,
    "model_length": FinishReason.LENGTH,
    "tool_calls": FinishReason.TOOL_CALLS,
    "tool_call": FinishReason.TOOL_CALLS,
    "function_call": FinishReason.TOOL_CALLS,
    "content_filter": FinishReason.CONTENT_FILTER,
    "safety": FinishReason.CONTENT_FILTER,
}


class OpenAIVoice:
    """Speaks to OpenAI and to every service with a door in its shape."""

    def compose(self, access: Access, request: ChatRequest) -> Composed:
        vocabulary = parameters.vocabulary_of(access)
        given, dropped = parameters.for_openai(access, request)
        about_tools, undone = openai_request.tools(request, vocabulary)
        messages, unseen = openai_request.messages(request, vocabulary)
        body = {
            **given,
            **about_tools,
            "model": request.external_id,
            "messages": messages,
        }
        headers = doors.headers_of(access)
        if request.stream:
            body["stream"] = True
            headers["accept"] = "text/event-stream"
            if vocabulary.counts:
                body["stream_options"] = {"include_usage": True}
        url = doors.url_of(access, request.external_id)
        call = Call(url=url, headers=headers, body=encode(body))
        return Composed(call=call, dropped=(*dropped, *undone, *unseen))

    def answer(self) -> OpenAIAnswer:
        return OpenAIAnswer()


class OpenAIAnswer:
    """Reads one answer in OpenAI's shape."""

    def __init__(self) -> None:
        self.finish_reason: FinishReason | None = None
        self.usage: TokenUsage | None = None
        self.is_done = False
        self._content = Pieces()
        self._calls = _Calls()
        self._refuses = False

    def event(self, event: Event) -> Iterator[Piece]:
        if event.data.strip() == _DONE:
            self._end()
            return
        value = json_stream.parse(event.data)
        if not isinstance(value, dict):
            raise Unusable("an event of the answer is not an object")
        if event.name == "error":
            raise Refused(value)
        yield from self._read(value, "delta")
        # What may follow is the mark of the end, for which some let one wait.
        self.is_done = self.finish_reason is not None and self.usage is not None

    def document(self, value: dict[str, Any]) -> Iterator[Piece]:
        if not value.get("choices") and not _is_error(value):
            raise Unusable("the answer has no choices")
        yield from self._read(value, "message")
        self._end()

    def _end(self) -> None:
        self.is_done = True
        if self.finish_reason is None and self._calls.any:
            self.finish_reason = FinishReason.TOOL_CALLS

    def _read(self, value: dict[str, Any], member: str) -> Iterator[Piece]:
        if _is_error(value):
            raise Refused(value)
        self._count(value)
        choices = value.get("choices")
        for choice in choices if isinstance(choices, list) else ():
            # One answer was asked for.
            if isinstance(choice, dict) and choice.get("index", 0) in (0, None):
                yield from self._choice(choice, member)

    def _choice(self, choice: dict[str, Any], member: str) -> Iterator[Piece]:
        told = choice.get(member)
        if isinstance(told, dict):
            content = self._content.add(_text(told.get("content")))
            refusal = whole(_text(told.get("refusal")))
            self._refuses = self._refuses or bool(refusal)
            calls = self._calls.read(told.get("tool_calls"))
            thought = _thought(told)
            if thought:
                yield Thought(thought)
            if content or refusal or calls:
                yield Delta(content=content + refusal, tool_calls=calls)
        reason = choice.get("finish_reason")
        if isinstance(reason, str) and reason:
            self._finish(choice, reason.lower())

    def _finish(self, choice: dict[str, Any], reason: str) -> None:
        if reason == "error":
            raise Refused(choice)
        known = _REASONS.get(reason, FinishReason.STOP)
        if self._refuses:
            known = FinishReason.CONTENT_FILTER
        elif known is FinishReason.STOP and self._calls.any:
            known = FinishReason.TOOL_CALLS
        self.finish_reason = known

    def _count(self, value: dict[str, Any]) -> None:
        usage = value.get("usage")
        if not isinstance(usage, dict):
            groq = value.get("x_groq")
            usage = groq.get("usage") if isinstance(groq, dict) else None
        if not isinstance(usage, dict):
            return
        prompt = count(usage.get("prompt_tokens"))
        completion = count(usage.get("completion_tokens"))
        if not prompt and not completion:
            # Zeros stand in events before the last one.
            return
        if prompt:
            # Gemini and Grok count what was thought in the total alone; it is charged like the answer.
            completion = max(completion, count(usage.get("total_tokens")) - prompt)
        details = usage.get("prompt_tokens_details")
        cached = count(details.get("cached_tokens") if isinstance(details, dict) else None)
        cached = cached or count(usage.get("prompt_cache_hit_tokens"))
        self.usage = TokenUsage(
            prompt_tokens=prompt, completion_tokens=completion, cached_tokens=min(cached, prompt)
        )


class _Calls:
    """Numbers tool calls from 0, and gives id and name of each once, whatever the provider repeats."""

    def __init__(self) -> None:
        self._ids: list[str] = []
        self._named: list[bool] = []
        self._at: dict[object, int] = {}
        self._arguments: list[Pieces] = []

    @property
    def any(self) -> bool:
        return bool(self._ids)

    def read(self, fragments: object) -> tuple[ToolCall, ...]:
        if not isinstance(fragments, list):
            return ()
        return tuple(self._fragment(each) for each in fragments if isinstance(each, dict))

    def _fragment(self, told: dict[str, Any]) -> ToolCall:
        function = told.get("function")
        function = function if isinstance(function, dict) else {}
        call_id = whole(_text(told.get("id")))[:_ID_CHARACTERS]
        index, is_new = self._place(told.get("index"), call_id)
        name = whole(_text(function.get("name")))[:_ID_CHARACTERS]
        shown = name if not self._named[index] else ""
        self._named[index] = self._named[index] or bool(name)
        arguments = function.get("arguments")
        if isinstance(arguments, dict):
            arguments = json.dumps(arguments)
        return ToolCall(
            id=self._ids[index] if is_new else "",
            name=shown,
            arguments=self._arguments[index].add(arguments),
            index=index,
        )

    def _place(self, theirs: object, call_id: str) -> tuple[int, bool]:
        """Which of our calls a fragment belongs to, and whether that is a new one."""
        theirs = theirs if isinstance(theirs, int) else None
        at = self._at.get(theirs, len(self._ids) - 1 if theirs is None else -1)
        # Some give every call the number 0; a new id is a new call.
        if at >= 0 and (not call_id or self._ids[at] == call_id):
            return at, False
        if len(self._ids) == _CALLS_MOST:
            raise Unusable(f"the answer has more than {_CALLS_MOST} tool calls")
        self._ids.append(call_id or f"call_{uuid4().hex}")
        self._named.append(False)
        self._arguments.append(Pieces())
        self._at[theirs] = len(self._ids) - 1
        return len(self._ids) - 1, True


def _is_error(value: dict[str, Any]) -> bool:
    return bool(value.get("error")) or value.get("object") == "error"


def _thought(told: dict[str, Any]) -> int:
    """How much text the model thought, under the name that this copy has for it."""
    for name in _THOUGHTS:
        text = told.get(name)
        if isinstance(text, str) and text:
            return len(text)
    parts = told.get("content")
    apart = [each for each in parts if isinstance(each, dict)] if isinstance(parts, list) else []
    return sum(len(_text(each.get("thinking"))) for each in apart if each.get("type") == "thinking")


def _text(value: object) -> str:
    """A text; of a list of parts the texts, not the thoughts."""
    if isinstance(value, str):
        return value
    if isinstance(value, list):
        parts = [each for each in value if isinstance(each, dict) and each.get("type") == "text"]
        return "".join(each["text"] for each in parts if isinstance(each.get("text"), str))
    return ""
