"""What stands around every call: authentication, permission, validation, and errors that leak nothing.

Default deny: a method that is not in the access table is refused. A handler is wrapped once and remembered;
``intercept_service`` runs in the one serving thread. A call for which its pool has no room gets another
handler there, which refuses it before anything is read or decoded.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextvars import copy_context
from functools import partial
from time import perf_counter
from typing import TYPE_CHECKING, Any, NoReturn, Protocol, TypeAlias

import grpc
from google.protobuf.message import Message

from imrs_server.domain.errors import InvalidRequest, NotBuilt, Overloaded, Violation
from imrs_server.telemetry import logs
from imrs_server.transport import access, call, errors
from imrs_server.transport.pool import AtOnce

if TYPE_CHECKING:
    from imrs_server.transport.pool import Pool
    from imrs_server.transport.tokens import Verifier

Validate = Callable[[Message], None]
Handler: TypeAlias = "grpc.RpcMethodHandler[Any, Any]"  # generic in its stub only

_OK = "OK"
_CANCELLED = "CANCELLED"


class Meter(Protocol):
    """Is told of every call of one method, when it begins and when it has ended, and before that of why it
    failed.
    """

    def started(self) -> None: ...

    def failed(self, reason: str) -> None: ...

    def ended(self, code: str, seconds: float) -> None: ...


class _Silent:
    def started(self) -> None: ...

    def failed(self, reason: str) -> None: ...

    def ended(self, code: str, seconds: float) -> None: ...


def unmeasured(_method: str) -> Meter:
    """Nobody is told."""
    return _SILENT


_SILENT = _Silent()


class Refused:
    """Stands for request bytes that are no good request; raising while decoding would answer UNKNOWN."""

    def __init__(self, error: InvalidRequest) -> None:
        self.error = error


_UNDECODABLE = Violation("", "the bytes are not the request message of this method")


class Guard(grpc.ServerInterceptor):
    """Wraps every handler of ours; health, and reflection where enabled, only get threads of their own."""

    def __init__(
        self,
        verifier: Verifier,
        validate: Validate,
        pool_of: Callable[[str], Pool],
        unbuilt: frozenset[str],
        meter_of: Callable[[str], Meter] = unmeasured,
    ) -> None:
        self._verifier = verifier
        self._validate = validate
        self._pool_of = pool_of
        self._unbuilt = unbuilt
        self._meter_of = meter_of
        # The handler of a method, the pool that serves it, and the handler for when that is full.
        self._wrapped: dict[str, tuple[Handler, Pool, Handler]] = {}

    def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Handler | None],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> Handler | None:
        method = handler_call_details.method
        found = self._wrapped.get(method)
        if found is None:
            handler = continuation(handler_call_details)
            if handler is None:
                return None  # unknown method: not remembered, so that inventing names costs no memory
            found = self._wrapped[method] = self._wrap(handler, method)
        handler, pool, refuse = found
        return refuse if pool.full else handler

    def _wrap(self, handler: Handler, method: str) -> tuple[Handler, Pool, Handler]:
        behaviour, pool = _behaviour(handler), self._pool_of(method)
        meter = _SILENT if access.is_open(method) else self._meter_of(method)
        decode = handler.request_deserializer
        if access.is_open(method):
            around = _untouched(behaviour)
        else:
            around = self._around(handler, behaviour, method, meter)
            # Who reads the bytes itself checks them as well.
            decode = _tolerant(getattr(behaviour, "reads", decode))
        # What does not block, as Watch of the health service, is called in a thread and gives it back.
        around.experimental_non_blocking = getattr(  # type: ignore[attr-defined]
            behaviour, "experimental_non_blocking", False
        )
        around.experimental_thread_pool = pool  # type: ignore[attr-defined]
        build = _BUILDERS[handler.request_streaming, handler.response_streaming]
        # What goes to many is serialised once, and not by the call.
        encode = None if getattr(behaviour, "answers_bytes", False) else handler.response_serializer
        return build(around, decode, encode), pool, _refusal(meter, method)

    def _around(
        self, handler: Handler, behaviour: Callable[..., Any], method: str, meter: Meter
    ) -> Callable[..., Any]:
        streams = handler.request_streaming
        if getattr(behaviour, "experimental_non_blocking", False):
            return self._not_blocking(behaviour, method, streams, meter)
        if handler.response_streaming:
            return self._streaming(behaviour, method, streams, meter)
        return self._unary(behaviour, method, streams, meter)

    # Items of a stream are checked by the servicer, so that a bad one fails alone.
    def _unary(
        self, behaviour: Callable[..., Any], method: str, streams: bool, meter: Meter
    ) -> Callable[..., Any]:
        fail = _failing(method, meter)

        def around(request: Any, context: grpc.ServicerContext) -> Any:
            start = perf_counter()
            meter.started()
            try:
                self._enter(method, context)
                answer = behaviour(request if streams else self._check(request), context)
            except BaseException as error:  # noqa: BLE001  (every failure becomes a status)
                fail(error, context, start)
            meter.ended(_OK, perf_counter() - start)
            return answer

        return around

    def _streaming(
        self, behaviour: Callable[..., Any], method: str, streams: bool, meter: Meter
    ) -> Callable[..., Any]:
        fail = _failing(method, meter)

        def around(request: Any, context: grpc.ServicerContext) -> Iterator[Any]:
            start = perf_counter()
            meter.started()
            try:
                self._enter(method, context)
                yield from behaviour(request if streams else self._check(request), context)
            except BaseException as error:  # noqa: BLE001  (every failure becomes a status)
                fail(error, context, start)
            meter.ended(_OK if context.is_active() else _CANCELLED, perf_counter() - start)

        return around

    def _not_blocking(
        self, behaviour: Callable[..., Any], method: str, streams: bool, meter: Meter
    ) -> Callable[..., Any]:
        fail = _failing(method, meter)

        # It is given a third argument, where to send its answers to, and the call goes on when it returns.
        def around(request: Any, context: grpc.ServicerContext, send: Any) -> Any:
            start = perf_counter()
            meter.started()
            try:
                self._enter(method, context)
                behaviour(request if streams else self._check(request), context, send)
            except BaseException as error:  # noqa: BLE001  (every failure becomes a status)
                fail(error, context, start)

            def ended() -> None:
                code = context.code()  # type: ignore[attr-defined]  # unknown to its stub only
                meter.ended(code.name if isinstance(code, grpc.StatusCode) else _OK, perf_counter() - start)

            # It is called outside of the call's context, of which the access log tells.
            if not context.add_callback(partial(copy_context().run, ended)):
                ended()

        return around

    def _enter(self, method: str, context: grpc.ServicerContext) -> None:
        """Each call runs in a context of its own, so what is set here needs no undoing."""
        metadata = context.invocation_metadata()
        who = self._verifier.bearer(metadata)
        access.require(method, who)
        if method in self._unbuilt:
            raise NotBuilt(method=method.strip("/").replace("/", "."))
        call.principal.set(who)
        logs.call.set(logs.Call(who.subject, who.tenant_id, metadata))

    def _check(self, request: Any) -> Any:
        if isinstance(request, Message):
            self._validate(request)
        elif isinstance(request, Refused):
            raise request.error
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


def _failing(method: str, meter: Meter) -> Callable[[BaseException, grpc.ServicerContext, float], NoReturn]:
    """How calls of a method end that fail, which began at a time of ``perf_counter``."""

    def fail(error: BaseException, context: grpc.ServicerContext, start: float) -> NoReturn:
        if _has_gone(error, context):
            meter.ended(_CANCELLED, perf_counter() - start)
            raise error
        found = errors.as_domain(error, method)
        meter.failed(found.reason)
        meter.ended(found.code, perf_counter() - start)
        errors.abort(context, found, method)

    return fail


def _has_gone(error: BaseException, context: grpc.ServicerContext) -> bool:
    """Whether it only says that the caller is not there any more, who was to be read from or told."""
    return isinstance(error, GeneratorExit) or (isinstance(error, grpc.RpcError) and not context.is_active())


def _untouched(behaviour: Callable[..., Any]) -> Callable[..., Any]:
    """As it is, but able to carry attributes, as a bound method is not."""

    def around(*given: Any) -> Any:
        return behaviour(*given)

    return around


def _refusal(meter: Meter, method: str) -> Handler:
    """Says OVERLOADED at once, in the serving thread: what has no room must not queue for another.

    Whatever kind of method it stands for, it takes a stream of requests, and so waits for none.
    """
    fail = _failing(method, meter)

    def refuse(_requests: Any, context: grpc.ServicerContext) -> NoReturn:
        meter.started()
        fail(Overloaded(), context, perf_counter())

    refuse.experimental_thread_pool = _AT_ONCE  # type: ignore[attr-defined]
    return grpc.stream_unary_rpc_method_handler(refuse)


_AT_ONCE = AtOnce(1)


def _tolerant(deserialise: Callable[[bytes], Any] | None) -> Callable[[bytes], Any]:
    assert deserialise is not None

    def attempt(data: bytes) -> Any:
        try:
            return deserialise(data)
        except InvalidRequest as error:
            return Refused(error)
        except Exception:  # noqa: BLE001  (whatever the decoder dislikes)
            return Refused(InvalidRequest(_UNDECODABLE))

    return attempt
