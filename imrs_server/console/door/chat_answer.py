"""Events of Complete as OpenAI tells an answer: a ``chat.completion``, or chunks of one.

What IMRS knows beyond that is a member ``imrs`` of the answer, or of the last chunk with a choice.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from imrs_client.completion import Answer
from imrs_server.console.door.refusals import attempt

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from imrs_client.completion import Completion
    from imrs_client.v1 import CompleteEvent, Decision, TokenUsage, ToolCall

_ID = "chatcmpl-"


def whole(done: Completion) -> dict[str, Any]:
    """A whole answer."""
    message: dict[str, Any] = {"role": "assistant", "content": done.content, "refusal": None}
    if done.tool_calls:
        message["tool_calls"] = [_call(each) for each in done.tool_calls]
        message["content"] = done.content or None
    choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": done.finish_reason}
    return {
        "id": _ID + done.message_id,
        "object": "chat.completion",
        "created": _created(done.decision),
        "model": done.model_id,
        "choices": [choice],
        "usage": usage(done.usage),
        "imrs": about(done),
    }


def headers(decision: Decision | None) -> dict[str, str]:
    """For who only sees headers: the id that feedback refers to."""
    return {"x-imrs-message-id": decision.decision_id} if decision else {}


def about(done: Completion) -> dict[str, Any]:
    """What IMRS knows of an answer; ``cost_usd`` is null where the price is not known."""
    return {
        "message_id": done.message_id,
        "decision_id": done.decision.decision_id,
        "model_id": done.model_id,
        "task_type": done.decision.task.task_type,
        "reason": type(done.decision).Reason.Name(done.decision.reason),
        "cost_usd": None if done.cost_usd is None else format(done.cost_usd, "f"),
        "latency_ms": done.latency_ms,
        "tokens_estimated": done.usage.estimated,
        "failed_attempts": [attempt(each) for each in done.failed_attempts],
        "dropped": list(done.dropped),
    }


def usage(found: TokenUsage) -> dict[str, Any]:
    """Tokens."""
    return {
        "prompt_tokens": found.prompt_tokens,
        "completion_tokens": found.completion_tokens,
        "total_tokens": found.prompt_tokens + found.completion_tokens,
        "prompt_tokens_details": {"cached_tokens": found.cached_tokens},
    }


class Chunks:
    """The chunks of one answer. ``answer`` takes each event before it is asked for here."""

    def __init__(self, *, with_usage: bool) -> None:
        self.answer = Answer()
        self._with_usage = with_usage
        self._is_first = True

    def of(self, event: CompleteEvent) -> Iterator[dict[str, Any]]:
        """The chunks that an event makes."""
        piece = self.answer.take(event)
        if piece is not None:
            yield self._chunk(self._delta(piece))
        elif event.WhichOneof("event") == "completed":
            yield from self._end(self.answer.completion())

    def _delta(self, piece: CompleteEvent.Delta) -> dict[str, Any]:
        delta: dict[str, Any] = {"role": "assistant", "content": ""} if self._is_first else {}
        self._is_first = False
        if piece.content:
            delta["content"] = piece.content
        if piece.tool_calls:
            delta["tool_calls"] = [_fragment(each) for each in piece.tool_calls]
        return delta

    def _end(self, done: Completion) -> Iterator[dict[str, Any]]:
        if self._is_first:
            yield self._chunk({"role": "assistant", "content": ""})
        last = self._chunk({}, done.finish_reason)
        yield {**last, "model": done.model_id, "imrs": about(done)}
        if self._with_usage:
            yield {**self._head(), "model": done.model_id, "choices": [], "usage": usage(done.usage)}

    def _chunk(self, delta: dict[str, Any], finish_reason: str | None = None) -> dict[str, Any]:
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish_reason}
        # With it every chunk has the member, as OpenAI's have.
        unknown = {"usage": None} if self._with_usage else {}
        return {**self._head(), "choices": [choice], **unknown}

    def _head(self) -> dict[str, Any]:
        decision = self.answer.decision
        assert decision is not None
        return {
            "id": _ID + decision.decision_id,
            "object": "chat.completion.chunk",
            "created": _created(decision),
            "model": self._model(decision),
        }

    def _model(self, decision: Decision) -> str:
        """Who speaks, as far as is known before the end: the first that has not failed."""
        failed = {each.model_id for each in self.answer.failed_attempts}
        named = (each.model_id for each in _candidates(decision))
        return next((each for each in named if each not in failed), decision.selected.model_id)


def _candidates(decision: Decision) -> Iterable[Any]:
    return (decision.selected, *decision.fallbacks)


def _created(decision: Decision) -> int:
    return decision.create_time.seconds or int(time.time())


def _call(call: ToolCall) -> dict[str, Any]:
    return {
        "id": call.id,
        "type": "function",
        "function": {"name": call.name, "arguments": call.arguments},
    }


def _fragment(call: ToolCall) -> dict[str, Any]:
    function: dict[str, str] = {"arguments": call.arguments}
    if call.name:
        function = {"name": call.name, **function}
    found: dict[str, Any] = {"index": call.index}
    if call.id:
        found |= {"id": call.id, "type": "function"}
    return {**found, "function": function}
