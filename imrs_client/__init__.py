"""Client of the Intelligent Model Routing System.

Names are loaded when they are first asked for, so that `imrs_client.decide` and `imrs_client.ids`, which need
nothing but the standard library, can be imported without gRPC.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from imrs_client.aio import AsyncImrsClient
    from imrs_client.client import ImrsClient
    from imrs_client.completion import AsyncCompletionStream, Completion, CompletionStream
    from imrs_client.errors import (
        Aborted,
        AlreadyExists,
        Cancelled,
        DeadlineExceeded,
        FailedPrecondition,
        ImrsError,
        Internal,
        InvalidArgument,
        NotFound,
        PermissionDenied,
        ResourceExhausted,
        Unauthenticated,
        Unavailable,
        Unimplemented,
        Violation,
        from_item_error,
        from_rpc_error,
    )
    from imrs_client.ids import new_id, time_of
    from imrs_client.knowledge import OnlyOnServer
    from imrs_client.replica import NoSnapshot, Replica, ReplicaStatus
    from imrs_client.spool import FeedbackSpool, SpoolError, SpoolStatus

__all__ = [
    "Aborted",
    "AlreadyExists",
    "AsyncCompletionStream",
    "AsyncImrsClient",
    "Cancelled",
    "Completion",
    "CompletionStream",
    "DeadlineExceeded",
    "FailedPrecondition",
    "FeedbackSpool",
    "ImrsClient",
    "ImrsError",
    "Internal",
    "InvalidArgument",
    "NoSnapshot",
    "NotFound",
    "OnlyOnServer",
    "PermissionDenied",
    "Replica",
    "ReplicaStatus",
    "ResourceExhausted",
    "SpoolError",
    "SpoolStatus",
    "Unauthenticated",
    "Unavailable",
    "Unimplemented",
    "Violation",
    "from_item_error",
    "from_rpc_error",
    "new_id",
    "time_of",
]

_HOMES = {
    "AsyncCompletionStream": "completion",
    "AsyncImrsClient": "aio",
    "Completion": "completion",
    "CompletionStream": "completion",
    "FeedbackSpool": "spool",
    "ImrsClient": "client",
    "NoSnapshot": "replica",
    "OnlyOnServer": "knowledge",
    "Replica": "replica",
    "ReplicaStatus": "replica",
    "SpoolError": "spool",
    "SpoolStatus": "spool",
    "new_id": "ids",
    "time_of": "ids",
}


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{_HOMES.get(name, 'errors')}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
