"""structlog, as JSON lines or for a person; never a local variable, a key or a request body."""

from __future__ import annotations

import logging
import sys
from typing import TextIO

import structlog

# These write URLs and headers at INFO or DEBUG.
_CHATTY = ("httpx", "httpcore", "hvac", "urllib3", "grpc", "uvicorn.access")


def configure(*, json: bool, level: str = "INFO", stream: TextIO | None = None) -> None:
    """Set logging up once for the process."""
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
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            *render,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(getattr(logging, level.upper())),
        logger_factory=structlog.PrintLoggerFactory(output),
    )


def call_id() -> str:
    """The id that the log lines of the call in hand carry; empty outside of a call."""
    found: str = structlog.contextvars.get_contextvars().get("call_id", "")
    return found
