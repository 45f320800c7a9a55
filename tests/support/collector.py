"""A collector of traces on loopback, as OTLP over HTTP wants it."""

from __future__ import annotations

import gzip
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.proto.trace.v1.trace_pb2 import Status

from tests.support.provider import FakeProvider

if TYPE_CHECKING:
    from opentelemetry.proto.common.v1.common_pb2 import AnyValue

    from tests.support.provider import Received


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """What was sent of a span; ids in hexadecimal, times in nanoseconds."""

    name: str
    trace_id: str
    span_id: str
    parent_id: str
    failed: bool
    start: int
    end: int
    attributes: dict[str, Any]
    resource: dict[str, Any]


class Collector(FakeProvider):
    """Keeps all spans, and all bytes in which they came."""

    def __init__(self) -> None:
        super().__init__(ExportTraceServiceResponse().SerializeToString())

    @property
    def bodies(self) -> list[bytes]:
        return [_body(each) for each in self.requests if each.path == "/v1/traces"]

    @property
    def spans(self) -> list[Span]:
        return [
            Span(
                name=span.name,
                trace_id=span.trace_id.hex(),
                span_id=span.span_id.hex(),
                parent_id=span.parent_span_id.hex(),
                failed=span.status.code == Status.STATUS_CODE_ERROR,
                start=span.start_time_unix_nano,
                end=span.end_time_unix_nano,
                attributes={each.key: _value(each.value) for each in span.attributes},
                resource={each.key: _value(each.value) for each in found.resource.attributes},
            )
            for body in self.bodies
            for found in ExportTraceServiceRequest.FromString(body).resource_spans
            for scope in found.scope_spans
            for span in scope.spans
        ]


def _body(received: Received) -> bytes:
    packed = received.headers.get("content-encoding") == "gzip"
    return gzip.decompress(received.body) if packed else received.body


def _value(value: AnyValue) -> Any:
    kind = value.WhichOneof("value")
    if kind == "array_value":
        return [_value(each) for each in value.array_value.values]
    return getattr(value, kind) if kind else None
