"""What can go wrong, in the words of the API.

One class a reason; its docstring is the message, formatted with the metadata that the raise names:
``raise ProviderNotFound(provider_id="openai")``. The transport turns these into google.rpc.Status.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import ClassVar


class Code(StrEnum):
    """Canonical gRPC status names, so that the domain needs no gRPC."""

    INVALID_ARGUMENT = "INVALID_ARGUMENT"
    NOT_FOUND = "NOT_FOUND"
    ALREADY_EXISTS = "ALREADY_EXISTS"
    ABORTED = "ABORTED"
    UNAUTHENTICATED = "UNAUTHENTICATED"
    PERMISSION_DENIED = "PERMISSION_DENIED"
    FAILED_PRECONDITION = "FAILED_PRECONDITION"
    RESOURCE_EXHAUSTED = "RESOURCE_EXHAUSTED"
    UNAVAILABLE = "UNAVAILABLE"
    UNIMPLEMENTED = "UNIMPLEMENTED"
    INTERNAL = "INTERNAL"


@dataclass(frozen=True, slots=True)
class Violation:
    """One field of a request that is not as it must be, and what would be right."""

    field: str
    description: str


class DomainError(Exception):
    """Something failed."""

    code: ClassVar[Code] = Code.INTERNAL
    reason: ClassVar[str] = "INTERNAL"
    retry_after_seconds: float | None = None
    callers_choice: ClassVar[bool] = False
    """Whether only the caller may repeat the call: what carries it must not by itself, though it could."""

    def __init__(self, *, retry_after_seconds: float | None = None, **metadata: object) -> None:
        self.metadata = {name: str(value) for name, value in metadata.items()}
        self.message = " ".join((self.__doc__ or "").split()).format_map(self.metadata)
        if retry_after_seconds is not None:
            self.retry_after_seconds = retry_after_seconds
        super().__init__(self.message)


class Internal(DomainError):
    """Internal error {error_id}. The server's log tells more under this id."""


class NotBuilt(DomainError):
    """{method} is not built yet."""

    code = Code.UNIMPLEMENTED
    reason = "NOT_BUILT"


# INVALID_ARGUMENT


class InvalidRequest(DomainError):
    """The request is not valid: {summary}."""

    code = Code.INVALID_ARGUMENT
    reason = "INVALID_REQUEST"

    def __init__(self, *violations: Violation) -> None:
        self.violations = violations
        super().__init__(summary="; ".join(f"{v.field}: {v.description}" for v in violations[:5]))
        self.metadata = {}


class AddressForbidden(DomainError):
    """The address {address} may not be called: {detail}."""

    code = Code.INVALID_ARGUMENT
    reason = "ADDRESS_FORBIDDEN"


# NOT_FOUND


class NotFound(DomainError):
    """Not found."""

    code = Code.NOT_FOUND


class ProviderNotFound(NotFound):
    """Provider {provider_id} does not exist."""

    reason = "PROVIDER_NOT_FOUND"


class ModelNotFound(NotFound):
    """Model {model_id} does not exist."""

    reason = "MODEL_NOT_FOUND"


class AgentNotFound(NotFound):
    """Agent {agent_id} does not exist."""

    reason = "AGENT_NOT_FOUND"


class MessageNotFound(NotFound):
    """Message {message_id} does not exist."""

    reason = "MESSAGE_NOT_FOUND"


class DecisionNotFound(NotFound):
    """Decision {decision_id} does not exist."""

    reason = "DECISION_NOT_FOUND"


class FeedbackNotFound(NotFound):
    """Feedback {feedback_id} does not exist."""

    reason = "FEEDBACK_NOT_FOUND"


class RuleNotFound(NotFound):
    """Rule {rule_id} of agent {agent_id} does not exist."""

    reason = "RULE_NOT_FOUND"


class PreferenceNotFound(NotFound):
    """Class {agent_class} has no preference."""

    reason = "PREFERENCE_NOT_FOUND"


class BudgetNotFound(NotFound):
    """Budget {budget_id} does not exist."""

    reason = "BUDGET_NOT_FOUND"


class EndpointNotFound(NotFound):
    """Endpoint {endpoint_id} does not exist."""

    reason = "ENDPOINT_NOT_FOUND"


# ALREADY_EXISTS


class AlreadyExists(DomainError):
    """Already exists."""

    code = Code.ALREADY_EXISTS


class ProviderExists(AlreadyExists):
    """Provider {provider_id} exists. Update it, or undelete it if it was deleted."""

    reason = "PROVIDER_EXISTS"


class ModelExists(AlreadyExists):
    """Model {model_id} exists. Update it, or undelete it if it was deleted."""

    reason = "MODEL_EXISTS"


class AgentExists(AlreadyExists):
    """Agent {agent_id} exists. Update it, or undelete it if it was deleted."""

    reason = "AGENT_EXISTS"


class IdempotencyMismatch(AlreadyExists):
    """The request_id {request_id} was used with another request. Use a new one."""

    reason = "IDEMPOTENCY_MISMATCH"


# ABORTED


class EtagMismatch(DomainError):
    """The etag {etag} is not the current one, {current}. Read again and repeat the change."""

    code = Code.ABORTED
    reason = "ETAG_MISMATCH"


class SyncInProgress(DomainError):
    """A sync of provider {provider_id} is running. Wait for it to end."""

    code = Code.ABORTED
    reason = "SYNC_IN_PROGRESS"


# UNAUTHENTICATED: never says which check failed


class Unauthenticated(DomainError):
    """Not authenticated."""

    code = Code.UNAUTHENTICATED


class TokenMissing(Unauthenticated):
    """Send one metadata entry `authorization: Bearer <token>`."""

    reason = "TOKEN_MISSING"


class TokenInvalid(Unauthenticated):
    """The token is not valid."""

    reason = "TOKEN_INVALID"


class TokenExpired(Unauthenticated):
    """The token has expired. Get a new one."""

    reason = "TOKEN_EXPIRED"


# PERMISSION_DENIED


class PermissionDenied(DomainError):
    """Permission denied."""

    code = Code.PERMISSION_DENIED


class RoleRequired(PermissionDenied):
    """This needs one of the roles {roles}."""

    reason = "ROLE_REQUIRED"


class TenantMismatch(PermissionDenied):
    """The token belongs to another tenant than the one named. Leave tenant_id empty."""

    reason = "TENANT_MISMATCH"


class AgentMismatch(PermissionDenied):
    """An agent may act for itself only. Leave agent_id empty."""

    reason = "AGENT_MISMATCH"


# FAILED_PRECONDITION


class FailedPrecondition(DomainError):
    """Failed precondition."""

    code = Code.FAILED_PRECONDITION


class NoEligibleModel(FailedPrecondition):
    """No model of agent {agent_id} passes the filters; the metadata tells which filter removed how many."""

    reason = "NO_ELIGIBLE_MODEL"


class VaultSealed(FailedPrecondition):
    """The secret store is sealed. An operator must unseal it."""

    reason = "VAULT_SEALED"


class VaultForbidden(FailedPrecondition):
    """The secret store refuses this server. An operator must check its role and policy."""

    reason = "VAULT_FORBIDDEN"


class CredentialMissing(FailedPrecondition):
    """Provider {provider_id} has no key. Set one with RotateProviderKey."""

    reason = "CREDENTIAL_MISSING"


class ProviderInvalidResponse(FailedPrecondition):
    """Provider {provider_id} gave an unusable answer: {detail}."""

    reason = "PROVIDER_INVALID_RESPONSE"


class SyncSuspicious(FailedPrecondition):
    """The sync would drop {missing} of {known} models of {provider_id}. Repeat with force if right."""

    reason = "SYNC_SUSPICIOUS"


# RESOURCE_EXHAUSTED


class ResourceExhausted(DomainError):
    """Resource exhausted."""

    code = Code.RESOURCE_EXHAUSTED


class ProviderRateLimited(ResourceExhausted):
    """Provider {provider_id} limits the rate of calls."""

    reason = "PROVIDER_RATE_LIMITED"


class BudgetExceeded(ResourceExhausted):
    """Budget {budget_id} {detail}; it is renewed at {reset_time}."""

    reason = "BUDGET_EXCEEDED"


class Overloaded(ResourceExhausted):
    """The server has too many calls of this kind in hand. Try again shortly."""

    reason = "OVERLOADED"
    retry_after_seconds = 0.5


# UNAVAILABLE: waiting helps


class Unavailable(DomainError):
    """Unavailable."""

    code = Code.UNAVAILABLE
    retry_after_seconds = 1.0


class RevisionNotReached(Unavailable):
    """This server has reached revision {revision}, not yet {min_revision}."""

    reason = "REVISION_NOT_REACHED"
    retry_after_seconds = 0.05


class VaultUnreachable(Unavailable):
    """The secret store does not answer."""

    reason = "VAULT_UNREACHABLE"


class DatabaseUnavailable(Unavailable):
    """The database does not answer."""

    reason = "DATABASE_UNAVAILABLE"


class ServerStopping(Unavailable):
    """The server is about to stop. Another one may serve at once."""

    reason = "SERVER_STOPPING"
    retry_after_seconds = 0.1


class ProviderUnavailable(Unavailable):
    """Provider {provider_id} does not answer: {detail}."""

    reason = "PROVIDER_UNAVAILABLE"
    retry_after_seconds = 5.0
    # It was tried just now, for up to a minute where a model was to be loaded.
    callers_choice = True
