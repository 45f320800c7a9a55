"""Errors as OpenAI tells them: ``{"error": {"message", "type", "param", "code"}}`` and the status of HTTP.

What IMRS says beyond that, its reason and the metadata of it, is a member ``imrs`` of the error.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

    from imrs_client.errors import ImrsError
    from imrs_client.v1 import CompleteEvent

# By the name of gRPC's code, where no reason says more.
_STATUSES = {
    "INVALID_ARGUMENT": 400,
    "UNAUTHENTICATED": 401,
    "PERMISSION_DENIED": 403,
    "NOT_FOUND": 404,
    "ALREADY_EXISTS": 409,
    "ABORTED": 409,
    "RESOURCE_EXHAUSTED": 429,
    "FAILED_PRECONDITION": 503,
    "CANCELLED": 499,
    "UNIMPLEMENTED": 501,
    "UNAVAILABLE": 503,
    "DEADLINE_EXCEEDED": 504,
}
_BY_REASON = {"NO_ELIGIBLE_MODEL": 400, "PROVIDER_INVALID_RESPONSE": 502, "OVERLOADED": 503}
_TYPES = {
    401: "authentication_error",
    403: "permission_error",
    429: "rate_limit_error",
}
# The words that OpenAI has for the same.
_CODES = {
    "TOKEN_MISSING": "invalid_api_key",
    "TOKEN_INVALID": "invalid_api_key",
    "TOKEN_EXPIRED": "invalid_api_key",
    "BUDGET_EXCEEDED": "insufficient_quota",
    "PROVIDER_RATE_LIMITED": "rate_limit_exceeded",
    "RATE_LIMITED": "rate_limit_exceeded",
    "MODEL_NOT_FOUND": "model_not_found",
    "AGENT_NOT_FOUND": "model_not_found",
}
# What a provider found wrong with the conversation.
_KINDS = {"context_too_long": "context_length_exceeded", "content_refused": "content_filter"}
# Nothing changes within the seconds after which the stock client would ask again.
_LASTING = frozenset({"BUDGET_EXCEEDED", "CREDENTIAL_MISSING", "VAULT_SEALED", "VAULT_FORBIDDEN"})


class Refused(Exception):
    """The door does not take a request; ``message`` tells what would be right, ``param`` names the member."""

    def __init__(self, message: str, *, param: str | None = None, status: int = 400, code: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.param = param
        self.status = status
        self.code = code or "invalid_request"


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """An error as it goes out."""

    status: int
    error: Mapping[str, Any]
    headers: Mapping[str, str] = field(default_factory=dict)

    @property
    def body(self) -> Mapping[str, Any]:
        return {"error": self.error}


def of_request(refused: Refused) -> Refusal:
    """What the door itself does not take."""
    error = _error(refused.message, refused.status, refused.param, refused.code)
    headers = {"www-authenticate": "Bearer"} if refused.status == 401 else {}
    return Refusal(status=refused.status, error=error, headers=headers)


def of_fault(request_id: str) -> Refusal:
    """A fault of ours."""
    message = f"The server made a mistake; its log has more under {request_id}."
    return Refusal(status=500, error=_error(message, 500, None, "internal"))


def of_failure(
    failure: ImrsError, failed: Sequence[CompleteEvent.AttemptFailed] = (), *, model: str = ""
) -> Refusal:
    """What the service answers, after these attempts; ``model`` is what was asked for where it is a model."""
    reason = failure.reason
    status = _BY_REASON.get(reason) or _STATUSES.get(failure.code.name, 500)
    if status == 429 and not reason:
        # gRPC itself does not take what is so large.
        status = 413
    code = _CODES.get(reason) or (reason or failure.code.name).lower()
    if reason == "NO_ELIGIBLE_MODEL" and model:
        status, code = 404, "model_not_found"
    if status == 400 and failed:
        code = _KINDS.get(failed[-1].error_kind, code)
    param = failure.violations[0].field if failure.violations else None
    fields = "".join(f" {each.field}: {each.description}." for each in failure.violations)
    about: dict[str, Any] = {"reason": reason or failure.code.name, "metadata": dict(failure.metadata)}
    if failed:
        about["failed_attempts"] = [attempt(each) for each in failed]
    error = {**_error(f"{failure.message}{fields}", status, param, code), "imrs": about}
    if code == "insufficient_quota":
        error["type"] = code
    return Refusal(status=status, error=error, headers=_headers(failure, status))


def attempt(failed: CompleteEvent.AttemptFailed) -> dict[str, str]:
    """A model that did not answer."""
    return {"model_id": failed.model_id, "error_kind": failed.error_kind, "detail": failed.detail}


def _headers(failure: ImrsError, status: int) -> dict[str, str]:
    headers = {}
    wait = failure.retry_after_seconds
    if wait is not None:
        headers["retry-after"] = str(math.ceil(wait))
        headers["retry-after-ms"] = str(math.ceil(wait * 1000))
    if failure.reason in _LASTING:
        headers["x-should-retry"] = "false"
    if status == 401:
        headers["www-authenticate"] = "Bearer"
    return headers


def _error(message: str, status: int, param: str | None, code: str) -> dict[str, Any]:
    kind = _TYPES.get(status) or ("server_error" if status >= 500 else "invalid_request_error")
    return {"message": message, "type": kind, "param": param, "code": code}
