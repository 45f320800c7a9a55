"""Every asyncio call: deadline, token, tenant and key go out, typed errors and the revision come in."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any

import grpc
from grpc import aio

from imrs_client.errors import from_rpc_error
from imrs_client.requests import filled

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from imrs_client.session import Session

    Token = str | Callable[[], str | Awaitable[str]]


class Outgoing:
    """What all three interceptors do to a call before it is made."""

    def __init__(self, session: Session, token: Token) -> None:
        self.session = session
        self._token = token

    async def details(self, given: Any) -> aio.ClientCallDetails:
        token = self._token if isinstance(self._token, str) else self._token()
        if inspect.isawaitable(token):
            token = await token
        path = given.method.decode() if isinstance(given.method, bytes) else given.method
        metadata = aio.Metadata(*(given.metadata or ()), ("authorization", f"Bearer {token}"))
        return aio.ClientCallDetails(
            given.method,
            self.session.timeout_seconds(path, given.timeout),
            metadata,
            given.credentials,
            given.wait_for_ready,
        )

    def request(self, given: Any) -> Any:
        return filled(given, self.session.tenant_id)

    async def requests(self, given: Any) -> AsyncIterator[Any]:
        """The requests of a stream, whether the caller gave an iterable or an asynchronous one."""
        if hasattr(given, "__aiter__"):
            async for each in given:
                yield self.request(each)
        else:
            for each in given:
                yield self.request(each)

    async def answers(self, call: Any) -> AsyncIterator[Any]:
        try:
            async for each in call:
                yield each
            self.session.note(await call.trailing_metadata())
        except grpc.RpcError as error:
            raise from_rpc_error(error) from error


# One class a kind, for grpc.aio takes an interceptor for the first kind that it is an instance of.


class UnaryUnary(aio.UnaryUnaryClientInterceptor):
    def __init__(self, outgoing: Outgoing) -> None:
        self._outgoing = outgoing

    async def intercept_unary_unary(self, continuation: Any, client_call_details: Any, request: Any) -> Any:
        outgoing = self._outgoing
        call = await continuation(await outgoing.details(client_call_details), outgoing.request(request))
        try:
            await call
        except grpc.RpcError as error:
            raise from_rpc_error(error) from error
        outgoing.session.note(await call.trailing_metadata())
        return call


class UnaryStream(aio.UnaryStreamClientInterceptor):
    def __init__(self, outgoing: Outgoing) -> None:
        self._outgoing = outgoing

    async def intercept_unary_stream(self, continuation: Any, client_call_details: Any, request: Any) -> Any:
        outgoing = self._outgoing
        call = await continuation(await outgoing.details(client_call_details), outgoing.request(request))
        return outgoing.answers(call)


class StreamStream(aio.StreamStreamClientInterceptor):
    def __init__(self, outgoing: Outgoing) -> None:
        self._outgoing = outgoing

    async def intercept_stream_stream(
        self, continuation: Any, client_call_details: Any, request_iterator: Any
    ) -> Any:
        outgoing = self._outgoing
        requests = outgoing.requests(request_iterator)
        return outgoing.answers(await continuation(await outgoing.details(client_call_details), requests))
