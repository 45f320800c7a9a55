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

principal: ContextVar[Principal] = ContextVar("principal")


def who() -> Principal:
    """The verified caller; the guard has set it for this call's thread."""
    return principal.get()


def committed(context: grpc.ServicerContext, written: Written[T]) -> T:
    """The value of a write, its revision put into the trailing metadata."""
    context.set_trailing_metadata(((REVISION, str(written.revision)),))
    return written.value
