"""Every asyncio call: deadline, token, tenant and key go out, typed errors and the revision come in."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any

import grpc
from grpc import aio

from imrs_client.errors import from_rpc_error
from imrs_client.requests import filled

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Generator

    from imrs_client.session import Session

    Token = str | Callable[[], str | Awaitable[str]]


class Outgoing:
    """What all three interceptors do to a call before it is made."""

    def __init__(self, session: Session, token: Token) -> None:
        self._session = session
        self._token = token

    async def details(self, given: Any) -> aio.ClientCallDetails:
        token = self._token if isinstance(self._token, str) else self._token()
        if inspect.isawaitable(token):
            token = await token
        path = given.method.decode() if isinstance(given.method, bytes) else given.method
        metadata = aio.Metadata(*(given.metadata or ()), ("authorization", f"Bearer {token}"))
        return aio.ClientCallDetails(
            given.method,
            self._session.timeout_seconds(path, given.timeout),
            metadata,
            given.credentials,
            given.wait_for_ready,
        )

    def request(self, given: Any) -> Any:
        return filled(given, self._session.tenant_id)

    async def requests(self, given: Any) -> AsyncIterator[Any]:
        """The requests of a stream, whether the caller gave an iterable or an asynchronous one."""
        if hasattr(given, "__aiter__"):
            async for each in given:
                yield self.request(each)
        else:
            for each in given:
                yield self.request(each)


# One class a kind, for grpc.aio takes an interceptor for the first kind that it is an instance of.


class UnaryUnary(aio.UnaryUnaryClientInterceptor):
    def __init__(self, outgoing: Outgoing) -> None:
        self._outgoing = outgoing

    async def intercept_unary_unary(self, continuation: Any, client_call_details: Any, request: Any) -> Any:
        outgoing = self._outgoing
        return await continuation(await outgoing.details(client_call_details), outgoing.request(request))


class UnaryStream(aio.UnaryStreamClientInterceptor):
    def __init__(self, outgoing: Outgoing) -> None:
        self._outgoing = outgoing

    async def intercept_unary_stream(self, continuation: Any, client_call_details: Any, request: Any) -> Any:
        outgoing = self._outgoing
        return await continuation(await outgoing.details(client_call_details), outgoing.request(request))


class StreamStream(aio.StreamStreamClientInterceptor):
    def __init__(self, outgoing: Outgoing) -> None:
        self._outgoing = outgoing

    async def intercept_stream_stream(
        self, continuation: Any, client_call_details: Any, request_iterator: Any
    ) -> Any:
        requests = self._outgoing.requests(request_iterator)
        return await continuation(await self._outgoing.details(client_call_details), requests)


class Channel:
    """The part of an aio.Channel that stubs use; its calls fail with an ImrsError.

    An interceptor cannot do this: what it raises, or an iterator of its own, upsets grpc.aio when the call is
    dropped or the channel closes.
    """

    def __init__(self, channel: aio.Channel, session: Session) -> None:
        self._channel = channel
        self._session = session

    def __getattr__(self, kind: str) -> Callable[..., Callable[..., Answer]]:
        """What makes the calls of one kind, `unary_unary`."""
        make = getattr(self._channel, kind)

        def typed(*method: Any, **options: Any) -> Callable[..., Answer]:
            call = make(*method, **options)
            return lambda *request, **settings: Answer(call(*request, **settings), self._session)

        return typed


class Answer:
    """A call of grpc.aio, to be awaited, iterated over or read from, whose failure is an ImrsError."""

    def __init__(self, call: Any, session: Session) -> None:
        self._call = call
        self._session = session
        self._iterator: AsyncIterator[Any] | None = None

    def __getattr__(self, name: str) -> Any:
        return getattr(self._call, name)

    def __await__(self) -> Generator[Any, None, Any]:
        return self._response().__await__()

    def __aiter__(self) -> AsyncIterator[Any]:
        if self._iterator is None:
            self._iterator = self._responses()
        return self._iterator

    async def read(self) -> Any:
        """The next response of a stream; grpc.aio.EOF after the last."""
        try:
            response = await self._call.read()
        except grpc.RpcError as error:
            raise from_rpc_error(error) from error
        if response is aio.EOF:
            await self._note()
        return response

    async def _response(self) -> Any:
        try:
            response = await self._call
        except grpc.RpcError as error:
            raise from_rpc_error(error) from error
        await self._note()
        return response

    async def _responses(self) -> AsyncIterator[Any]:
        try:
            async for response in self._call:
                yield response
        except grpc.RpcError as error:
            raise from_rpc_error(error) from error
        await self._note()

    async def _note(self) -> None:
        self._session.note(await self._call.trailing_metadata())
