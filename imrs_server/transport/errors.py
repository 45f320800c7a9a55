"""Domain errors as google.rpc.Status, and the only place that aborts a call."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, NoReturn

import grpc
import structlog
from google.protobuf import any_pb2, duration_pb2
from google.rpc import error_details_pb2, status_pb2
from grpc_status import rpc_status

from imrs_client.ids import new_id
from imrs_server.domain.errors import DomainError, Internal, InvalidRequest

if TYPE_CHECKING:
    from collections.abc import Iterable

    from google.protobuf.message import Message

    from imrs_server.domain.errors import Violation

DOMAIN = "imrs.dev"

# An error travels in trailers, of which a client takes 8 KiB, each character of a message as up to 9 bytes.
_MESSAGE_BYTES = 600
_VALUE_BYTES = 1024
_VIOLATION_BYTES = 300
_VIOLATIONS_BYTES = 1500

# Keeps gRPC of the client from repeating a call by itself (github.com/grpc/proposal, A6, "server pushback").
_NO_REPEAT = ("grpc-retry-pushback-ms", "-1")

log = structlog.get_logger()


def abort(context: grpc.ServicerContext, error: BaseException, method: str) -> NoReturn:
    """End the call with what went wrong; what we did not foresee becomes INTERNAL with an id for the log."""
    known = as_domain(error, method)
    status: Any = rpc_status.to_status(to_status(known))
    if known.callers_choice:
        status = status._replace(trailing_metadata=(*status.trailing_metadata, _NO_REPEAT))
    context.abort_with_status(status)
    raise AssertionError  # abort_with_status has raised


def as_domain(error: BaseException, method: str) -> DomainError:
    """The error itself if it is ours; else INTERNAL, the error logged under its id."""
    if isinstance(error, DomainError):
        return error
    error_id = str(new_id())
    log.error("call failed", method=method, error_id=error_id, exc_info=error)
    return Internal(error_id=error_id)


def to_status(error: DomainError) -> status_pb2.Status:
    """The wire form: ErrorInfo always, BadRequest and RetryInfo where they say more."""
    metadata = {name: _cut(value, _VALUE_BYTES) for name, value in error.metadata.items()}
    details: list[Message] = [
        error_details_pb2.ErrorInfo(domain=DOMAIN, reason=error.reason, metadata=metadata)
    ]
    if isinstance(error, InvalidRequest):
        details.append(_bad_request(error.violations))
    if error.retry_after_seconds is not None:
        fraction, whole = math.modf(error.retry_after_seconds)
        delay = duration_pb2.Duration(seconds=int(whole), nanos=int(fraction * 1e9))
        details.append(error_details_pb2.RetryInfo(retry_delay=delay))
    status = status_pb2.Status(
        code=grpc.StatusCode[error.code].value[0], message=_cut(error.message, _MESSAGE_BYTES)
    )
    for detail in details:
        packed = any_pb2.Any()
        packed.Pack(detail)
        status.details.append(packed)
    return status


def _bad_request(violations: Iterable[Violation]) -> error_details_pb2.BadRequest:
    """The first violations, as many as there is room for."""
    found = error_details_pb2.BadRequest()
    for each in violations:
        found.field_violations.add(
            field=_cut(each.field, _VIOLATION_BYTES), description=_cut(each.description, _VIOLATION_BYTES)
        )
        if found.ByteSize() > _VIOLATIONS_BYTES:
            break
    return found


def _cut(text: str, most_bytes: int) -> str:
    data = text.encode()
    return text if len(data) <= most_bytes else data[: most_bytes - 3].decode(errors="ignore") + "..."
