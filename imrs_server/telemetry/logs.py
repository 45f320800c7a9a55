"""structlog, as JSON lines or for a person; never a local variable, a key or a request body."""

from __future__ import annotations

import logging
import sys
from contextvars import ContextVar
from typing import Any, TextIO

import structlog

from imrs_client.ids import new_id

# These write URLs and headers at INFO or DEBUG.
_CHATTY = ("httpx", "httpcore", "hvac", "urllib3", "grpc", "uvicorn.access")


class Call:
    """What the log lines of a call carry. Most calls write none, so the id is made when it is asked for."""

    __slots__ = ("_id", "principal", "tenant")

    def __init__(self, principal: str, tenant: object) -> None:
        self.principal = principal
        self.tenant = tenant
        self._id = ""

    @property
    def id(self) -> str:
        if not self._id:
            self._id = str(new_id())
        return self._id

    @property
    def facts(self) -> dict[str, str]:
        return {"call_id": self.id, "principal": self.principal, "tenant": str(self.tenant or "")}


call: ContextVar[Call | None] = ContextVar("call", default=None)
"""The call in hand; None outside of a call."""


def configure(
    *, json: bool, level: str = "INFO", stream: TextIO | None = None, worker: int | None = None
) -> None:
    """Set logging up once for the process; every line of a worker tells its number."""
    for name in _CHATTY:
        logging.getLogger(name).setLevel(logging.WARNING)
    output = stream or sys.stderr
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
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            _tell_call,
            *([] if worker is None else [_worker(worker)]),
            structlog.processors.add_log_level,
            _stamp,
            *render,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(getattr(logging, level.upper())),
        # A line is one write, so that the lines of several processes do not mix.
        logger_factory=structlog.WriteLoggerFactory(output),
    )


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
