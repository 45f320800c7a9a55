"""Answers of models, whole or in pieces as they come."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Self

from google.protobuf.struct_pb2 import Struct

from imrs_client.v1 import (
    ChatMessage,
    CompleteEvent,
    CompleteRequest,
    Decision,
    EmbedRequest,
    TokenUsage,
    ToolCall,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from types import TracebackType

Conversation = str | Iterable[ChatMessage | Mapping[str, Any]]
"""What the user says; or all turns, each a ChatMessage or its fields, `{"role": "user", "content": ...}`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Completion:
    """A whole answer. Feedback needs no more than `message_id`.

    `cost_usd` is None where the price is not known, `usage.estimated` whether the provider gave no numbers.
    `failed_attempts` are the models that were called before and did not answer; `dropped` names what of the
    request the provider of this model has no word for.
    """

    content: str
    tool_calls: tuple[ToolCall, ...]
    message_id: str
    model_id: str
    finish_reason: str
    usage: TokenUsage
    cost_usd: Decimal | None
    latency_ms: int
    decision: Decision
    failed_attempts: tuple[CompleteEvent.AttemptFailed, ...] = ()
    dropped: tuple[str, ...] = ()


def request(conversation: Conversation, *, stream: bool, fields: Mapping[str, Any]) -> CompleteRequest:
    """The request for an answer.

    `fields` are those of CompleteRequest and of its `route` (`agent_id`, `parameters`, ...); JSON objects may
    be given as dicts. Raises ValueError for a name that neither has.
    """
    found = CompleteRequest(stream=stream, messages=_messages(conversation))
    _fill(found, fields)
    return found


def embed_request(inputs: Iterable[str], fields: Mapping[str, Any]) -> EmbedRequest:
    """The request for vectors; `fields` as in `request`, of EmbedRequest."""
    found = EmbedRequest(inputs=inputs)
    _fill(found, fields)
    return found


def _fill(found: CompleteRequest | EmbedRequest, fields: Mapping[str, Any]) -> None:
    for name, value in fields.items():
        targets: tuple[Any, ...] = (found, found.route)
        target = next((each for each in targets if name in each.DESCRIPTOR.fields_by_name), None)
        if target is None:
            raise ValueError(f"neither {type(found).__name__} nor RouteRequest has a field {name}")
        target.MergeFrom(type(target)(**{name: _plain(value)}))


class Answer:
    """What has come of an answer so far."""

    def __init__(self) -> None:
        self.decision: Decision | None = None
        self.failed_attempts: list[CompleteEvent.AttemptFailed] = []
        self._content: list[str] = []
        self._calls: dict[int, ToolCall] = {}
        self._arguments: dict[int, list[str]] = {}
        self._end: CompleteEvent.Completed | None = None
        self.restarts = 0

    def take(self, event: CompleteEvent) -> CompleteEvent.Delta | None:
        """Take the next event; gives the piece of the answer where it is one."""
        kind = event.WhichOneof("event")
        if kind == "delta":
            self._content.append(event.delta.content)
            for each in event.delta.tool_calls:
                self._continue(each)
            return event.delta
        if kind == "decision":
            self.decision = event.decision
        elif kind == "attempt_failed":
            self.failed_attempts.append(event.attempt_failed)
            if event.attempt_failed.partly_delivered:
                self._restart()
        elif kind == "completed":
            self._end = event.completed
        return None

    def completion(self) -> Completion:
        """The whole answer. Raises ValueError while it is not whole."""
        end = self._end
        if end is None or self.decision is None:
            raise ValueError("the answer has not ended: go through the stream to its end first")
        return Completion(
            content="".join(self._content),
            tool_calls=tuple(self._whole(index) for index in sorted(self._calls)),
            message_id=end.message_id,
            model_id=end.model_id,
            finish_reason=end.finish_reason,
            usage=end.usage,
            cost_usd=Decimal(end.cost_usd) if end.cost_usd else None,
            latency_ms=end.latency_ms,
            decision=self.decision,
            failed_attempts=tuple(self.failed_attempts),
            dropped=tuple(end.dropped),
        )

    def _restart(self) -> None:
        self.restarts += 1
        self._content.clear()
        self._calls.clear()
        self._arguments.clear()

    def _continue(self, piece: ToolCall) -> None:
        known = self._calls.setdefault(piece.index, ToolCall(index=piece.index))
        known.id = known.id or piece.id
        known.name = known.name or piece.name
        # Joined at the end: there may be a piece for every few characters.
        self._arguments.setdefault(piece.index, []).append(piece.arguments)

    def _whole(self, index: int) -> ToolCall:
        found = ToolCall(arguments="".join(self._arguments[index]))
        found.MergeFrom(self._calls[index])
        return found


class _Stream:
    """What a stream of pieces knows of its call."""

    def __init__(self, events: Any) -> None:
        self._events = events
        self._answer = Answer()

    @property
    def decision(self) -> Decision | None:
        return self._answer.decision

    @property
    def failed_attempts(self) -> tuple[CompleteEvent.AttemptFailed, ...]:
        """The models that did not answer, so far."""
        return tuple(self._answer.failed_attempts)

    @property
    def restarts(self) -> int:
        """How often an answer broke off so far whose pieces are to be dropped, for it begins anew.

        Only with `allow_mid_stream_fallback`; else such a break ends the call.
        """
        return self._answer.restarts

    @property
    def completion(self) -> Completion:
        """The whole answer, without what broke off. Raises ValueError while it is not whole."""
        return self._answer.completion()

    def close(self) -> None:
        """End the call; the model's provider is told, as far as hanging up tells it."""
        self._events.cancel()


class CompletionStream(_Stream):
    """Pieces of an answer as they come; leaving it early ends the call.

    `decision` is known from the first piece on, `completion` after the last. Iterating raises ImrsError.
    """

    def __iter__(self) -> Iterator[CompleteEvent.Delta]:
        for event in self._events:
            piece = self._answer.take(event)
            if piece is not None:
                yield piece

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self.close()


class AsyncCompletionStream(_Stream):
    """As CompletionStream, for asyncio."""

    async def __aiter__(self) -> AsyncIterator[CompleteEvent.Delta]:
        async for event in self._events:
            piece = self._answer.take(event)
            if piece is not None:
                yield piece

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self.close()


def _messages(conversation: Conversation) -> list[ChatMessage]:
    if isinstance(conversation, str):
        return [ChatMessage(role="user", content=conversation)]
    return [each if isinstance(each, ChatMessage) else ChatMessage(**each) for each in conversation]


def _plain(value: Any) -> Any:
    """JSON objects, and lists of them, as the protos have them."""
    if isinstance(value, Mapping):
        found = Struct()
        found.update(value)
        return found
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    return value
