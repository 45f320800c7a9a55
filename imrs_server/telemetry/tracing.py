"""Spans of calls and of the models that they call, sent to a collector by OTLP. Needs the extra `otel`.

A call's span is made when the call has ended, and only where it is sampled: as its caller decided by
`traceparent`, else by chance. So a call that is not costs a few microseconds, and one without tracing
nothing. Names are those of OpenTelemetry's conventions for RPC and for GenAI; what was said is in none.
"""

from __future__ import annotations

import os
import random
import socket
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import structlog
from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider, sampling
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.id_generator import RandomIdGenerator
from opentelemetry.trace import (
    NonRecordingSpan,
    SpanContext,
    SpanKind,
    Status,
    StatusCode,
    TraceFlags,
    set_span_in_context,
)

from imrs_server import __version__
from imrs_server.domain.message import Outcome
from imrs_server.domain.provider import ProviderType
from imrs_server.telemetry import logs, traceparent

if TYPE_CHECKING:
    from collections.abc import Callable

    from opentelemetry.sdk.trace.export import SpanExporter

    from imrs_server.domain.message import Message
    from imrs_server.telemetry.model_calls import ModelCall

log = structlog.get_logger()

SEND_SECONDS = 2.0
_SAMPLED = TraceFlags(TraceFlags.SAMPLED)
_NANOSECONDS = 1_000_000_000
# Numbers of the statuses that gRPC's convention wants.
_CODES = {
    name: number
    for number, name in enumerate(
        (
            "OK", "CANCELLED", "UNKNOWN", "INVALID_ARGUMENT", "DEADLINE_EXCEEDED", "NOT_FOUND",
            "ALREADY_EXISTS", "PERMISSION_DENIED", "RESOURCE_EXHAUSTED", "FAILED_PRECONDITION", "ABORTED",
            "OUT_OF_RANGE", "UNIMPLEMENTED", "INTERNAL", "UNAVAILABLE", "DATA_LOSS", "UNAUTHENTICATED",
        )
    )
}  # fmt: skip
_FAULTS = frozenset({"UNKNOWN", "DEADLINE_EXCEEDED", "UNIMPLEMENTED", "INTERNAL", "UNAVAILABLE", "DATA_LOSS"})
_PROVIDERS = {
    ProviderType.OPENAI: "openai",
    ProviderType.ANTHROPIC: "anthropic",
    ProviderType.AZURE: "azure.ai.openai",
}


class Meter(Protocol):
    def started(self) -> None: ...

    def failed(self, reason: str) -> None: ...

    def ended(self, code: str, seconds: float) -> None: ...


@dataclass(slots=True)
class Traced:
    """A call's own place in a trace, and below what it is."""

    own: SpanContext | None
    """None where it is not sampled."""
    parent: Context
    reason: str = ""


class Tracing:
    """``share`` of the calls whose caller says nothing are traced, 0 to 1. Its methods never raise."""

    def __init__(self, exporter: SpanExporter, *, share: float, worker: int = 0) -> None:
        self._share = share
        self._ids = _GivenIds()
        resource = Resource.create(
            {
                "service.name": os.environ.get("OTEL_SERVICE_NAME", "imrs"),
                "service.version": __version__,
                "service.instance.id": f"{socket.gethostname()}:{os.getpid()}",
                "imrs.worker": worker,
            }
        )
        self._provider = TracerProvider(
            sampler=sampling.ALWAYS_ON, resource=resource, id_generator=self._ids, shutdown_on_exit=False
        )
        self._provider.add_span_processor(
            BatchSpanProcessor(exporter, schedule_delay_millis=SEND_SECONDS * 1000)
        )
        self._tracer = self._provider.get_tracer("imrs", __version__)

    @classmethod
    def to(cls, url: str, *, share: float, worker: int = 0) -> Tracing:
        """To the collector at a base URL, ``http://127.0.0.1:4318``; OTEL_EXPORTER_OTLP_* say the rest."""
        # The time-out is also how long a server that stops waits for a collector that is not there.
        exporter = OTLPSpanExporter(endpoint=f"{url.rstrip('/')}/v1/traces", timeout=SEND_SECONDS)
        return cls(exporter, share=share, worker=worker)

    def start(self) -> None:
        """There is nothing to start."""

    def stop(self) -> None:
        """Send what waits."""
        self._provider.shutdown()

    def around(self, method: str, meter: Meter) -> Meter:
        """A meter of one method that has its calls traced as well."""
        return _TracingMeter(self, method, meter)

    def trace_id(self, call: logs.Call) -> str:
        """For log lines, of a call that is traced."""
        own = self._place(call).own
        return f"{own.trace_id:032x}" if own else ""

    def failed(self, reason: str) -> None:
        """The call in hand fails."""
        call = logs.call.get()
        if call is not None:
            self._place(call).reason = reason

    def call_ended(self, method: str, code: str, seconds: float) -> None:
        """The call in hand has ended, now. Nobody's call, as of a wrong token, is not traced."""
        call = logs.call.get()
        if call is None:
            return
        place = self._place(call)
        if place.own is None:
            return
        service, _, name = method.strip("/").rpartition("/")
        attributes: dict[str, Any] = {
            "rpc.system": "grpc",
            "rpc.service": service,
            "rpc.method": name,
            "rpc.grpc.status_code": _CODES[code],
            "imrs.call_id": call.id,
            "imrs.tenant_id": str(call.tenant or ""),
            "enduser.id": call.principal,
        }
        if place.reason:
            attributes["error.type"] = place.reason
        status = Status(StatusCode.ERROR, place.reason) if code in _FAULTS else None
        end = time.time()
        with self._ids.giving(place.own):
            span = self._tracer.start_span(
                f"{service}/{name}", place.parent, SpanKind.SERVER, attributes, start_time=_ns(end - seconds)
            )
        if status:
            span.set_status(status)
        span.end(_ns(end))

    def recorded(self, message: Message, before: Message | None = None) -> None:
        """What agents record of calls of their own is theirs to trace."""

    def fell_back(self, provider_id: str) -> None:
        """The spans of the models show it."""

    def called(self, model: ModelCall) -> None:
        """A model was called, for the call in hand."""
        call = logs.call.get()
        place = self._place(call) if call else None
        if place is None or place.own is None:
            return
        try:
            self._called(model, place.own)
        except Exception:  # no span is worth a call
            log.exception("tracing.failed")

    def _called(self, model: ModelCall, parent: SpanContext) -> None:
        attributes: dict[str, Any] = {
            "gen_ai.operation.name": model.operation,
            "gen_ai.provider.name": _PROVIDERS.get(model.provider_type, model.provider_id)
            if model.provider_type
            else model.provider_id,
            "gen_ai.request.model": model.external_id,
            "gen_ai.request.stream": model.stream,
            "gen_ai.agent.id": model.agent_id,
            "gen_ai.usage.input_tokens": model.usage.prompt_tokens,
            "gen_ai.usage.output_tokens": model.usage.completion_tokens,
            "gen_ai.usage.cache_read.input_tokens": model.usage.cached_tokens,
            "imrs.model_id": model.model_id,
            "imrs.decision_id": str(model.decision_id),
            "imrs.tokens_estimated": model.usage.estimated,
        }
        if model.conversation_id:
            attributes["gen_ai.conversation.id"] = model.conversation_id
        if model.finish_reason:
            attributes["gen_ai.response.finish_reasons"] = [model.finish_reason]
        failed = model.outcome is not Outcome.OK
        if failed:
            attributes["error.type"] = model.error_kind or model.outcome.lower()
        span = self._tracer.start_span(
            f"{model.operation} {model.external_id}",
            set_span_in_context(NonRecordingSpan(parent), Context()),
            SpanKind.CLIENT,
            attributes,
            start_time=_ns(model.start_time),
        )
        if failed and model.outcome is not Outcome.CANCELLED:
            span.set_status(Status(StatusCode.ERROR, model.error_kind))
        span.end(_ns(model.start_time + model.latency_ms / 1000))

    def _place(self, call: logs.Call) -> Traced:
        if call.traced is None:
            call.traced = self._begin(call.parent)
        found: Traced = call.traced
        return found

    def _begin(self, parent: traceparent.TraceParent | None) -> Traced:
        if parent is None:
            sampled = random.random() < self._share  # noqa: S311  (which calls are traced is no secret)
            trace_id, above = (self._ids.new_trace_id(), Context()) if sampled else (0, Context())
        else:
            sampled, trace_id = parent.sampled, int(parent.trace_id, 16)
            found = SpanContext(trace_id, int(parent.span_id, 16), is_remote=True, trace_flags=_SAMPLED)
            above = set_span_in_context(NonRecordingSpan(found), Context())
        own = SpanContext(trace_id, self._ids.new_span_id(), is_remote=False, trace_flags=_SAMPLED)
        return Traced(own if sampled else None, above)


class _TracingMeter:
    def __init__(self, tracing: Tracing, method: str, meter: Meter) -> None:
        self._tracing = tracing
        self._method = method
        self._meter = meter

    def started(self) -> None:
        logs.tracer.set(self._tracing)
        self._meter.started()

    def failed(self, reason: str) -> None:
        self._attempt(lambda: self._tracing.failed(reason))
        self._meter.failed(reason)

    def ended(self, code: str, seconds: float) -> None:
        # First, so that lines about the call know of its trace.
        self._attempt(lambda: self._tracing.call_ended(self._method, code, seconds))
        self._meter.ended(code, seconds)

    @staticmethod
    def _attempt(work: Callable[[], None]) -> None:
        try:
            work()
        except Exception:  # no span is worth a call
            log.exception("tracing.failed")


class _GivenIds(RandomIdGenerator):
    """The ids that a span was promised, for those below it, before it was made; else new ones."""

    def __init__(self) -> None:
        self._given = threading.local()

    def giving(self, promised: SpanContext) -> _GivenIds:
        self._given.ids = promised
        return self

    def __enter__(self) -> None: ...

    def __exit__(self, *_error: object) -> None:
        self._given.ids = None

    def generate_span_id(self) -> int:
        promised = getattr(self._given, "ids", None)
        return promised.span_id if promised else self.new_span_id()

    def generate_trace_id(self) -> int:
        promised = getattr(self._given, "ids", None)
        return promised.trace_id if promised else self.new_trace_id()

    def new_span_id(self) -> int:
        return super().generate_span_id()

    def new_trace_id(self) -> int:
        return super().generate_trace_id()


def _ns(seconds: float) -> int:
    return int(seconds * _NANOSECONDS)
