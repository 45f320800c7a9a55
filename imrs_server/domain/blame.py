"""What a failed call says of its model and of its provider, and what says nothing of either."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from imrs_server.domain.breaker import Cause, Subject, SubjectKind, Trouble
from imrs_server.domain.chat import FailureKind

if TYPE_CHECKING:
    from imrs_server.domain.chat import ChatFailure

PATIENCE_SECONDS = 10.0
"""Whose caller had less time than this has learned nothing about the model that did not answer in it."""
# The same of less than so many times as long as it takes when it answers.
_PATIENCE_FACTOR = 2.0

_FORBIDDEN = 403

_CAUSES = {
    FailureKind.RATE_LIMITED: Cause.RATE_LIMITED,
    FailureKind.OVERLOADED: Cause.OVERLOADED,
    FailureKind.TIMEOUT: Cause.TIMEOUT,
    FailureKind.NETWORK: Cause.NETWORK,
    FailureKind.INVALID_RESPONSE: Cause.INVALID_RESPONSE,
    FailureKind.AUTH: Cause.AUTH,
}


class Blame(NamedTuple):
    """``at_once`` where one failure is enough, for the next call would fail too."""

    subject: Subject
    trouble: Trouble
    at_once: bool


def blame(
    failure: ChatFailure,
    model_id: str,
    provider_id: str,
    *,
    own_key: bool,
    waited_seconds: float,
    usual_seconds: float = 0.0,
    endpoint_id: str | None = None,
) -> Blame | None:
    """Whom a failure speaks against; None where it says nothing of anybody.

    A refused key, an account without credit and a provider that cannot be reached concern all of its models;
    everything else concerns the model, for providers limit and lose models one by one. What an agent's
    ``own_key`` meets concerns that key, and other agents must not pay for it. Of a model with several places
    the one that was called is to blame, also for not having it: the others may well do better.
    ``waited_seconds`` is how long the caller had patience, ``usual_seconds`` how long answers take.
    """
    cause = _CAUSES.get(failure.cause)
    if endpoint_id is not None and failure.cause is FailureKind.NOT_FOUND:
        cause = Cause.INVALID_RESPONSE
    patience_seconds = max(PATIENCE_SECONDS, _PATIENCE_FACTOR * usual_seconds)
    if cause is None or (cause is Cause.TIMEOUT and waited_seconds < patience_seconds):
        return None
    of_key = cause.is_of_key
    if of_key and own_key:
        return None
    if cause is Cause.RATE_LIMITED and not failure.again:
        cause = Cause.NO_CREDIT
    if endpoint_id is not None:
        subject = Subject(SubjectKind.ENDPOINT, endpoint_id)
    elif _is_of_all(cause, failure):
        subject = Subject(SubjectKind.PROVIDER, provider_id)
    else:
        subject = Subject(SubjectKind.MODEL, model_id)
    wait_seconds = failure.retry_after_seconds if cause in (Cause.RATE_LIMITED, Cause.OVERLOADED) else None
    call_seconds = waited_seconds if cause is Cause.TIMEOUT else 0.0
    return Blame(subject, Trouble(cause, wait_seconds, call_seconds), of_key or wait_seconds is not None)


def _is_of_all(cause: Cause, failure: ChatFailure) -> bool:
    if cause is Cause.AUTH:
        # 403 is also said of a single model that the key may not use.
        return failure.status != _FORBIDDEN
    if cause is Cause.NETWORK:
        # An answer that breaks off may be the model's doing.
        return failure.kind is FailureKind.NETWORK
    return cause is Cause.NO_CREDIT
