"""structlog, as JSON lines or for a person; never a local variable, a key or a request body."""

from __future__ import annotations

import logging
import sys
from collections.abc import Sequence
from contextlib import suppress
from contextvars import ContextVar
from typing import Any, Protocol, TextIO, cast

import structlog

from imrs_client.ids import new_id
from imrs_server.telemetry import traceparent

# These write URLs and headers at INFO or DEBUG.
_CHATTY = ("httpx", "httpcore", "hvac", "urllib3", "grpc", "uvicorn.access")


Metadata = Sequence[tuple[str, str | bytes]]

REQUEST_ID = "x-request-id"
_REQUEST_ID_CHARACTERS = 128


class Tracer(Protocol):
    """Knows in which trace a call is."""

    def trace_id(self, call: Call) -> str:
        """In hexadecimal; empty where it is in none."""


class Call:
    """What the log lines of a call carry. Most calls write none, so it is made when it is asked for.

    ``metadata`` is the call's own: a caller may name the request in ``x-request-id``, and the trace that it
    is in in ``traceparent``.
    """

    __slots__ = ("_facts", "_metadata", "principal", "tenant", "traced")

    def __init__(self, principal: str, tenant: object, metadata: Metadata = ()) -> None:
        self.principal = principal
        self.tenant = tenant
        self._metadata = metadata
        self._facts: dict[str, str] | None = None
        self.traced: Any = None
        """Where it is in a trace, as whoever traces it keeps it."""

    @property
    def id(self) -> str:
        return self.facts["call_id"]

    @property
    def parent(self) -> traceparent.TraceParent | None:
        """The trace that the caller is in, as it says."""
        return _parent(self._metadata)

    @property
    def facts(self) -> dict[str, str]:
        if self._facts is None:
            found = {"call_id": str(new_id()), "principal": self.principal, "tenant": str(self.tenant or "")}
            found |= _named(self._metadata)
            traced_by = tracer.get()
            trace_id = traced_by.trace_id(self) if traced_by else ""
            self._facts = found | ({"trace_id": trace_id} if trace_id else {})
        return self._facts


def _named(metadata: Metadata) -> dict[str, str]:
    """What a caller says of the call, as far as it is fit for a line."""
    said = {key: value for key, value in metadata if isinstance(value, str)}
    found = {}
    request_id = said.get(REQUEST_ID, "")
    if 0 < len(request_id) <= _REQUEST_ID_CHARACTERS and request_id.isprintable():
        found["request_id"] = request_id
    trace = _parent(metadata)
    if trace is not None:
        found["trace_id"] = trace.trace_id
    return found


def _parent(metadata: Metadata) -> traceparent.TraceParent | None:
    said = [value for key, value in metadata if key == traceparent.KEY and isinstance(value, str)]
    return traceparent.parse(said[0]) if len(said) == 1 else None


tracer: ContextVar[Tracer | None] = ContextVar("tracer", default=None)
"""Who traces the call in hand, where anybody does."""

call: ContextVar[Call | None] = ContextVar("call", default=None)
"""The call in hand; None outside of a call."""


class Unfailing:
    """A stream for lines that may be lost: a full disk, or a reader that is gone, must not fail a call."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> None:
        with suppress(OSError):
            self._stream.write(text)

    def flush(self) -> None:
        with suppress(OSError):
            self._stream.flush()

    def isatty(self) -> bool:
        return self._stream.isatty()


def configure(
    *, json: bool, level: str = "INFO", stream: TextIO | None = None, worker: int | None = None
) -> None:
    """Set logging up once for the process; every line of a worker tells its number."""
    for name in _CHATTY:
        logging.getLogger(name).setLevel(logging.WARNING)
    output = Unfailing(stream or sys.stderr)
    # Tracebacks as plain text: the rich ones print local variables.
    render: list[structlog.typing.Processor] = (
        [structlog.processors.format_exc_info, structlog.processors.JSONRenderer()]
        if json
        else [
            structlog.dev.ConsoleRenderer(
                colors=output.isatty(), exception_formatter=structlog.dev.plain_traceback
            )
        ]
    )
    bind: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        _tell_call,
        *([] if worker is None else [_worker(worker)]),
        structlog.processors.add_log_level,
        _stamp,
    ]
    structlog.configure(
        processors=[*bind, *render],
        wrapper_class=structlog.make_filtering_bound_logger(getattr(logging, level.upper())),
        # A line is one write, so that the lines of several processes do not mix.
        logger_factory=structlog.WriteLoggerFactory(cast("TextIO", output)),
    )
    _take_in(output, bind, render)


def call_id() -> str:
    """The id that the log lines of the call in hand carry; empty outside of a call."""
    found = call.get()
    return "" if found is None else found.id


def _tell_call(_logger: Any, _method: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
    found = call.get()
    return event if found is None else {**found.facts, **event}


def _stamp(logger: Any, method: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
    """What is written later than it happened brings its time along."""
    return event if "timestamp" in event else _STAMP(logger, method, event)


_STAMP = structlog.processors.TimeStamper(fmt="iso", utc=True)


def _worker(number: int) -> structlog.typing.Processor:
    def tell(_logger: Any, _method: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
        return {**event, "worker": number}

    return tell


def _take_in(
    output: Unfailing, bind: list[structlog.typing.Processor], render: list[structlog.typing.Processor]
) -> None:
    """Have what libraries log, from WARNING on, look like our own lines; unless somebody else handles it."""
    root = logging.getLogger()
    if root.handlers:
        return
    handler = logging.StreamHandler(output)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[*bind, structlog.stdlib.add_logger_name],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *render],
        )
    )
    root.addHandler(handler)
