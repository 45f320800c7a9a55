"""What stands around every call: authentication, permission, validation, and errors that leak nothing.

Default deny: a method that is not in the access table is refused. A handler is wrapped once and remembered;
``intercept_service`` runs in the one serving thread.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, TypeAlias

import grpc
import structlog
from google.protobuf.message import Message

from imrs_client.ids import new_id
from imrs_server.domain.errors import InvalidRequest, NotBuilt, TokenMissing, Violation
from imrs_server.transport import access, call, errors

if TYPE_CHECKING:
    from collections.abc import Sequence
    from concurrent.futures import ThreadPoolExecutor

    from imrs_server.domain.principal import Principal
    from imrs_server.transport.tokens import Verifier

Validate = Callable[[Message], None]
Handler: TypeAlias = "grpc.RpcMethodHandler[Any, Any]"  # generic in its stub only

_SCHEME = "bearer "


class Undecodable:
    """Stands for request bytes that are not the message; raising while decoding would answer UNKNOWN."""


UNDECODABLE = Undecodable()


class Guard(grpc.ServerInterceptor):
    """Wraps every handler of ours; health, and reflection where enabled, pass untouched."""

    def __init__(
        self,
        verifier: Verifier,
        validate: Validate,
        pool_of: Callable[[str], ThreadPoolExecutor | None],
        unbuilt: frozenset[str],
    ) -> None:
        self._verifier = verifier
        self._validate = validate
        self._pool_of = pool_of
        self._unbuilt = unbuilt
        self._wrapped: dict[str, Handler | None] = {}

    def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Handler | None],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> Handler | None:
        method = handler_call_details.method
        if method in self._wrapped:
            return self._wrapped[method]
        handler = continuation(handler_call_details)
        if handler is None:
            return None  # unknown method: not remembered, so that inventing names costs no memory
        if not access.is_open(method):
            handler = self._wrap(handler, method)
        self._wrapped[method] = handler
        return handler

    def _wrap(self, handler: Handler, method: str) -> Handler:
        behaviour = _behaviour(handler)
        if handler.response_streaming:
            around: Callable[..., Any] = self._streaming(behaviour, method, handler.request_streaming)
        else:
            around = self._unary(behaviour, method, handler.request_streaming)
        pool = self._pool_of(method)
        if pool is not None:
            around.experimental_thread_pool = pool  # type: ignore[attr-defined]
        build = _BUILDERS[handler.request_streaming, handler.response_streaming]
        return build(around, _tolerant(handler.request_deserializer), handler.response_serializer)

    # Items of a stream are checked by the servicer, so that a bad one fails alone.
    def _unary(self, behaviour: Callable[..., Any], method: str, streams: bool) -> Callable[..., Any]:
        def around(request: Any, context: grpc.ServicerContext) -> Any:
            try:
                with structlog.contextvars.bound_contextvars(**self._enter(method, context)):
                    checked = request if streams else self._check(request)
                    return behaviour(checked, context)
            except BaseException as error:  # noqa: BLE001  (every failure becomes a status)
                errors.abort(context, error, method)

        return around

    def _streaming(self, behaviour: Callable[..., Any], method: str, streams: bool) -> Callable[..., Any]:
        def around(request: Any, context: grpc.ServicerContext) -> Iterator[Any]:
            try:
                with structlog.contextvars.bound_contextvars(**self._enter(method, context)):
                    checked = request if streams else self._check(request)
                    yield from behaviour(checked, context)
            except GeneratorExit:
                raise
            except BaseException as error:  # noqa: BLE001  (every failure becomes a status)
                errors.abort(context, error, method)

        return around

    def _enter(self, method: str, context: grpc.ServicerContext) -> dict[str, str]:
        who = self._authenticate(context.invocation_metadata())
        access.require(method, who)
        if method in self._unbuilt:
            raise NotBuilt(method=method.strip("/").replace("/", "."))
        call.principal.set(who)
        return {"call_id": str(new_id()), "principal": who.subject, "tenant": str(who.tenant_id or "")}

    def _authenticate(self, metadata: Sequence[tuple[str, str | bytes]]) -> Principal:
        values = [value for key, value in metadata if key == "authorization"]
        value = values[0] if len(values) == 1 else ""
        if not isinstance(value, str) or value[: len(_SCHEME)].lower() != _SCHEME:
            raise TokenMissing
        return self._verifier.verify(value[len(_SCHEME) :].strip())

    def _check(self, request: Any) -> Message:
        if request is UNDECODABLE:
            raise InvalidRequest(Violation("", "the bytes are not the request message of this method"))
        assert isinstance(request, Message)
        self._validate(request)
        return request


_BUILDERS: dict[tuple[bool, bool], Callable[..., Handler]] = {
    (False, False): grpc.unary_unary_rpc_method_handler,
    (False, True): grpc.unary_stream_rpc_method_handler,
    (True, False): grpc.stream_unary_rpc_method_handler,
    (True, True): grpc.stream_stream_rpc_method_handler,
}


def _behaviour(handler: Handler) -> Callable[..., Any]:
    found = handler.unary_unary or handler.unary_stream or handler.stream_unary or handler.stream_stream
    assert found is not None
    return found


def _tolerant(deserialise: Callable[[bytes], Any] | None) -> Callable[[bytes], Any]:
    assert deserialise is not None

    def attempt(data: bytes) -> Any:
        try:
            return deserialise(data)
        except Exception:  # noqa: BLE001  (whatever the decoder dislikes)
            return UNDECODABLE

    return attempt
