"""The asyncio client."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Self, cast

from grpc import aio

from imrs_client import channel
from imrs_client.aio_calls import Channel, Outgoing, StreamStream, UnaryStream, UnaryUnary
from imrs_client.completion import Answer, AsyncCompletionStream, Completion, embed_request, request
from imrs_client.paging import items
from imrs_client.session import Session
from imrs_client.v1 import (
    AdminServiceStub,
    CatalogServiceStub,
    Decision,
    EmbedResponse,
    Feedback,
    FeedbackServiceStub,
    Message,
    RecordMessageRequest,
    RouteRequest,
    RouteServiceStub,
    SubmitFeedbackRequest,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence

    import grpc

    from imrs_client.aio_calls import Token
    from imrs_client.completion import Conversation


class AsyncImrsClient:
    """The four services on one channel, for one event loop. Arguments are those of ImrsClient.

    A function given as `token` may be asynchronous.
    """

    def __init__(
        self,
        target: str,
        *,
        token: Token,
        tenant_id: str = "",
        credentials: grpc.ChannelCredentials | None = None,
        insecure: bool = False,
        timeouts_seconds: Mapping[str, float | None] | None = None,
        options: Sequence[tuple[str, str | int]] = (),
    ) -> None:
        settings = [*channel.options(), *options]
        secure = channel.credentials_for(target, credentials, insecure=insecure)
        self._session = Session(tenant_id=tenant_id, timeouts_seconds=timeouts_seconds or {})
        outgoing = Outgoing(self._session, token)
        interceptors = [UnaryUnary(outgoing), UnaryStream(outgoing), StreamStream(outgoing)]
        self._channel = (
            aio.secure_channel(target, secure, settings, interceptors=interceptors)
            if secure
            else aio.insecure_channel(target, settings, interceptors=interceptors)
        )
        typed = cast("aio.Channel", Channel(self._channel, self._session))
        self.admin = AdminServiceStub(typed)
        self.catalog = CatalogServiceStub(typed)
        self.route = RouteServiceStub(typed)
        self.feedback = FeedbackServiceStub(typed)

    @property
    def last_revision(self) -> int:
        """The highest revision that a write of this client has made; 0 before any.

        As `min_revision` of a RouteRequest it asks for an answer that knows of the write.
        """
        return self._session.last_revision

    async def wait_until_ready(self, timeout_seconds: float = 5) -> None:
        """Connect now, so that the first call need not; raises TimeoutError."""
        async with asyncio.timeout(timeout_seconds):
            await self._channel.channel_ready()

    async def choose(self, *, timeout_seconds: float | None = None, **fields: Any) -> Decision:
        """Which model answers? `fields` are those of RouteRequest: `agent_id=`, `message=`, ..."""
        return await self.route.Route(RouteRequest(**fields), timeout=timeout_seconds)

    async def complete(
        self, conversation: Conversation, *, timeout_seconds: float | None = None, **fields: Any
    ) -> Completion:
        """An answer of the model that serves this best, or of the next one where it fails.

        `fields` are those of CompleteRequest and of its `route`: `agent_id=`, `tools=`, `max_attempts=`, ...
        """
        asked = request(conversation, stream=False, fields=fields)
        answer = Answer()
        async for event in self.route.Complete(asked, timeout=timeout_seconds):
            answer.take(event)
        return answer.completion()

    def stream(
        self, conversation: Conversation, *, timeout_seconds: float | None = None, **fields: Any
    ) -> AsyncCompletionStream:
        """As `complete`, piece by piece; use it in an `async with` where it may be left early."""
        asked = request(conversation, stream=True, fields=fields)
        return AsyncCompletionStream(self.route.Complete(asked, timeout=timeout_seconds))

    async def embed(
        self, inputs: Sequence[str], *, timeout_seconds: float | None = None, **fields: Any
    ) -> EmbedResponse:
        """A vector for each text. `fields` are those of EmbedRequest and of its `route`: `agent_id=`, ..."""
        return await self.route.Embed(embed_request(inputs, fields), timeout=timeout_seconds)

    async def record(
        self, *, request_id: str = "", timeout_seconds: float | None = None, **fields: Any
    ) -> Message:
        """What became of a call. `fields` are those of Message: `decision_id=`, `latency_ms=`, ..."""
        request = RecordMessageRequest(message=Message(**fields), request_id=request_id)
        return await self.feedback.RecordMessage(request, timeout=timeout_seconds)

    async def rate(
        self,
        message_id: str,
        rating: float | None = None,
        *,
        signal: Feedback.Signal.ValueType = Feedback.SIGNAL_UNSPECIFIED,
        timeout_seconds: float | None = None,
        **fields: Any,
    ) -> Feedback:
        """How good it was: a rating from 0 to 1, or a signal. `fields` are those of SubmitFeedbackRequest."""
        request = SubmitFeedbackRequest(message_id=message_id, rating=rating, signal=signal, **fields)
        return await self.feedback.SubmitFeedback(request, timeout=timeout_seconds)

    async def paginate(self, method: Callable[[Any], Awaitable[Any]], request: Any) -> AsyncIterator[Any]:
        """Every item of a List method, such as `client.catalog.ListModels`; pages are read when needed."""
        page = type(request)()
        page.CopyFrom(request)
        while True:
            response = await method(page)
            for each in items(response):
                yield each
            if not response.next_page_token:
                return
            page.page_token = response.next_page_token

    async def close(self) -> None:
        """Close the connection; calls that run end as cancelled."""
        await self._channel.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()
