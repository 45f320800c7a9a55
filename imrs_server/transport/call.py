"""The call in hand: who makes it, and what its answer tells besides the message."""

from __future__ import annotations

from contextvars import ContextVar
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    import grpc

    from imrs_server.domain.principal import Principal
    from imrs_server.domain.written import Written

T = TypeVar("T")

REVISION = "imrs-revision"

# The rest is for the answer to arrive in.
_PATIENCE_SHARE = 0.9
_PATIENCE_SECONDS = 10.0

principal: ContextVar[Principal] = ContextVar("principal")


def who() -> Principal:
    """The verified caller; the guard has set it for this call's thread."""
    return principal.get()


def committed(context: grpc.ServicerContext, written: Written[T]) -> T:
    """The value of a write, its revision put into the trailing metadata."""
    context.set_trailing_metadata(((REVISION, str(written.revision)),))
    return written.value


def patience_seconds(context: grpc.ServicerContext) -> float:
    """How long to work on an answer that somebody still waits for."""
    remaining_seconds = context.time_remaining()
    if remaining_seconds is None:
        return _PATIENCE_SECONDS
    return min(_PATIENCE_SECONDS, _PATIENCE_SHARE * remaining_seconds)
