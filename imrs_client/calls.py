"""Every synchronous call: deadline, token, tenant and key go out, typed errors and the revision come in."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import grpc

from imrs_client.errors import from_rpc_error
from imrs_client.requests import filled

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from imrs_client.session import Session


@dataclass(frozen=True, slots=True, kw_only=True)
class _Details(grpc.ClientCallDetails):
    method: str
    timeout: float | None
    metadata: Any
    credentials: grpc.CallCredentials | None
    wait_for_ready: bool | None
    compression: grpc.Compression | None


class Calls(
    grpc.UnaryUnaryClientInterceptor,
    grpc.UnaryStreamClientInterceptor,
    grpc.StreamStreamClientInterceptor,
):
    """The interceptor that ImrsClient puts before its stubs."""

    def __init__(self, session: Session, token: str | Callable[[], str]) -> None:
        self._session = session
        self._token = token

    def intercept_unary_unary(self, continuation: Any, client_call_details: Any, request: Any) -> Any:
        call = continuation(self._details(client_call_details), filled(request, self._session.tenant_id))
        if call.done() and call.exception() is None:
            self._session.note(call.trailing_metadata())
            return call
        return Future(call, self._session)

    def intercept_unary_stream(self, continuation: Any, client_call_details: Any, request: Any) -> Any:
        call = continuation(self._details(client_call_details), filled(request, self._session.tenant_id))
        return Stream(call, self._session)

    def intercept_stream_stream(
        self, continuation: Any, client_call_details: Any, request_iterator: Iterable[Any]
    ) -> Any:
        requests = (filled(each, self._session.tenant_id) for each in request_iterator)
        return Stream(continuation(self._details(client_call_details), requests), self._session)

    def _details(self, given: Any) -> _Details:
        token = self._token if isinstance(self._token, str) else self._token()
        return _Details(
            method=given.method,
            timeout=self._session.timeout_seconds(given.method, given.timeout),
            metadata=(*(given.metadata or ()), ("authorization", f"Bearer {token}")),
            credentials=given.credentials,
            wait_for_ready=given.wait_for_ready,
            compression=given.compression,
        )


def typed(error: BaseException) -> BaseException:
    """An ImrsError for what gRPC raises; anything else, such as a fault of the caller's, as it is."""
    return from_rpc_error(error) if isinstance(error, grpc.RpcError) else error


class Future:
    """A call that runs or has failed: a grpc.Future whose failure is an ImrsError."""

    def __init__(self, call: Any, session: Session) -> None:
        self._call = call
        self._session = session

    def __getattr__(self, name: str) -> Any:
        return getattr(self._call, name)

    def result(self, timeout: float | None = None) -> Any:
        try:
            response = self._call.result(timeout)
        except grpc.RpcError as error:
            raise from_rpc_error(error) from error
        self._session.note(self._call.trailing_metadata())
        return response

    def exception(self, timeout: float | None = None) -> BaseException | None:
        error = self._call.exception(timeout)
        return error and typed(error)

    def add_done_callback(self, function: Callable[[Future], object]) -> None:
        self._call.add_done_callback(lambda _: function(self))


class Stream:
    """A stream of answers: a grpc.Call and iterator whose failure is an ImrsError."""

    def __init__(self, call: Any, session: Session) -> None:
        self._call = call
        self._session = session

    def __getattr__(self, name: str) -> Any:
        return getattr(self._call, name)

    def __iter__(self) -> Iterator[Any]:
        return self

    def __next__(self) -> Any:
        try:
            return next(self._call)
        except StopIteration:
            self._session.note(self._call.trailing_metadata())
            raise
        except grpc.RpcError as error:
            raise from_rpc_error(error) from error
