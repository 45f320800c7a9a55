"""What a call may fail with: one exception class for each gRPC code, with what the server says about it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import grpc
from google.rpc import error_details_pb2, status_pb2
from grpc_status import rpc_status

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from imrs_client.v1 import ItemError

DOMAIN = "imrs.dev"


@dataclass(frozen=True, slots=True)
class Violation:
    """One field of a request that is not as it must be, and what would be right."""

    field: str
    description: str


class ImrsError(Exception):
    """A call failed.

    `reason` is the name of an ErrorReason; empty when the failure is not the server's word, such as a
    deadline or a connection that was refused. `metadata` says what it is about, `violations` names fields at
    fault, and `retry_after_seconds` is set where waiting helps.
    """

    code: grpc.StatusCode = grpc.StatusCode.UNKNOWN

    def __init__(
        self,
        message: str = "",
        *,
        code: grpc.StatusCode | None = None,
        reason: str = "",
        metadata: Mapping[str, str] | None = None,
        violations: Sequence[Violation] = (),
        retry_after_seconds: float | None = None,
    ) -> None:
        super().__init__(message)
        self.code = code or type(self).code
        self.message = message
        self.reason = reason
        self.metadata = dict(metadata or {})
        self.violations = tuple(violations)
        self.retry_after_seconds = retry_after_seconds

    def __str__(self) -> str:
        fields = "".join(f"; {each.field}: {each.description}" for each in self.violations)
        return f"{self.reason or self.code.name}: {self.message}{fields}"


class Cancelled(ImrsError):
    """The caller gave up."""

    code = grpc.StatusCode.CANCELLED


class InvalidArgument(ImrsError):
    """A field is missing, malformed or out of bounds; `violations` names it."""

    code = grpc.StatusCode.INVALID_ARGUMENT


class DeadlineExceeded(ImrsError):
    """No answer came in time; what was asked may have been done all the same."""

    code = grpc.StatusCode.DEADLINE_EXCEEDED


class NotFound(ImrsError):
    """It does not exist, or belongs to another tenant."""

    code = grpc.StatusCode.NOT_FOUND


class AlreadyExists(ImrsError):
    """The id is taken, or the request_id came before with another body."""

    code = grpc.StatusCode.ALREADY_EXISTS


class PermissionDenied(ImrsError):
    """The token does not reach that far."""

    code = grpc.StatusCode.PERMISSION_DENIED


class ResourceExhausted(ImrsError):
    """A limit or a budget is used up."""

    code = grpc.StatusCode.RESOURCE_EXHAUSTED


class FailedPrecondition(ImrsError):
    """The system is not in a state for it; repeating does not help."""

    code = grpc.StatusCode.FAILED_PRECONDITION


class Aborted(ImrsError):
    """Somebody else was faster; read again, then try again."""

    code = grpc.StatusCode.ABORTED


class Unimplemented(ImrsError):
    """The server does not have the method."""

    code = grpc.StatusCode.UNIMPLEMENTED


class Internal(ImrsError):
    """A fault of the server; `metadata["error_id"]` finds it in the log."""

    code = grpc.StatusCode.INTERNAL


class Unavailable(ImrsError):
    """The server, or what it needs, does not answer; trying again later helps."""

    code = grpc.StatusCode.UNAVAILABLE


class Unauthenticated(ImrsError):
    """There is no token, or none that is good."""

    code = grpc.StatusCode.UNAUTHENTICATED


_BY_CODE: Final = {each.code: each for each in ImrsError.__subclasses__()}
_BY_NUMBER: Final = {code.value[0]: code for code in grpc.StatusCode}


def from_rpc_error(error: grpc.RpcError) -> ImrsError:
    """The typed form of what a stub raises, sync or aio."""
    code = error.code() or grpc.StatusCode.UNKNOWN
    try:
        status = rpc_status.from_call(error)  # type: ignore[arg-type]  # every RpcError that gRPC raises is a Call
    except ValueError:
        # A proxy has rewritten the status; what it says of the code counts.
        status = None
    return _typed(code, error.details() or "", status or status_pb2.Status())


def from_item_error(error: ItemError) -> ImrsError:
    """The typed form of what one item of a batch or stream failed with."""
    code = _BY_NUMBER.get(error.code, grpc.StatusCode.UNKNOWN)
    kind = _BY_CODE.get(code, ImrsError)
    return kind(error.message, code=code, reason=error.reason, metadata=error.metadata)


def _typed(code: grpc.StatusCode, message: str, status: status_pb2.Status) -> ImrsError:
    info = error_details_pb2.ErrorInfo()
    request = error_details_pb2.BadRequest()
    retry = error_details_pb2.RetryInfo()
    retry_after_seconds = None
    for detail in status.details:
        if detail.Unpack(info) or detail.Unpack(request):
            continue
        if detail.Unpack(retry):
            retry_after_seconds = retry.retry_delay.seconds + retry.retry_delay.nanos / 1e9
    return _BY_CODE.get(code, ImrsError)(
        message,
        code=code,
        reason=info.reason if info.domain == DOMAIN else "",
        metadata=info.metadata,
        violations=[Violation(each.field, each.description) for each in request.field_violations],
        retry_after_seconds=retry_after_seconds,
    )
