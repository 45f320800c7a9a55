"""What a failure says, and of whom."""

from __future__ import annotations

from typing import Any

import pytest

from imrs_server.domain.blame import PATIENCE_SECONDS, blame
from imrs_server.domain.breaker import STEP_SECONDS, Cause, Subject, SubjectKind, Trouble
from imrs_server.domain.chat import ChatFailure, FailureKind

MODEL = Subject(SubjectKind.MODEL, "p/m")
PROVIDER = Subject(SubjectKind.PROVIDER, "p")


def of(
    kind: FailureKind,
    *,
    own_key: bool = False,
    waited: float = 60.0,
    usual: float = 0.0,
    endpoint_id: str | None = None,
    **fields: Any,
) -> Any:
    failure = ChatFailure(kind, "in words", **fields)
    return blame(
        failure,
        "p/m",
        "p",
        own_key=own_key,
        waited_seconds=waited,
        usual_seconds=usual,
        endpoint_id=endpoint_id,
    )


@pytest.mark.parametrize(
    "kind",
    [
        FailureKind.BAD_REQUEST, FailureKind.CONTENT_REFUSED, FailureKind.CONTEXT_TOO_LONG,
        FailureKind.NOT_FOUND,
    ],
)  # fmt: skip
def test_what_is_wrong_with_the_request_says_nothing(kind: FailureKind) -> None:
    assert of(kind) is None
    assert of(FailureKind.MID_STREAM, cause=kind) is None


@pytest.mark.parametrize(
    ("kind", "cause"),
    [
        (FailureKind.OVERLOADED, Cause.OVERLOADED),
        (FailureKind.TIMEOUT, Cause.TIMEOUT),
        (FailureKind.INVALID_RESPONSE, Cause.INVALID_RESPONSE),
    ],
)
def test_a_model_that_fails_now_and_then_is_not_left_alone_at_once(kind: FailureKind, cause: Cause) -> None:
    found = of(kind, waited=42.0)
    assert (found.subject, found.trouble.cause, found.at_once) == (MODEL, cause, False)
    # What hangs is given the time to hang again, before more is sent to it.
    assert found.trouble.step_seconds == (42.0 if cause is Cause.TIMEOUT else STEP_SECONDS)


def test_a_limit_of_calls_is_the_models_and_counts_at_once() -> None:
    assert of(FailureKind.RATE_LIMITED) == (MODEL, Trouble(Cause.RATE_LIMITED), True)
    told = of(FailureKind.RATE_LIMITED, retry_after_seconds=7.0)
    assert told == (MODEL, Trouble(Cause.RATE_LIMITED, 7.0), True)


def test_an_overloaded_model_that_says_when_to_come_back_is_taken_at_its_word() -> None:
    told = of(FailureKind.OVERLOADED, retry_after_seconds=7.0)
    assert told == (MODEL, Trouble(Cause.OVERLOADED, 7.0), True)


def test_keys_credit_and_connections_are_the_providers() -> None:
    assert of(FailureKind.AUTH, status=401) == (PROVIDER, Trouble(Cause.AUTH), True)
    assert of(FailureKind.RATE_LIMITED, again=False) == (PROVIDER, Trouble(Cause.NO_CREDIT), True)
    assert of(FailureKind.NETWORK) == (PROVIDER, Trouble(Cause.NETWORK), False)


def test_a_model_that_the_key_may_not_use_is_no_reason_to_leave_the_others() -> None:
    assert of(FailureKind.AUTH, status=403) == (MODEL, Trouble(Cause.AUTH), True)


def test_an_answer_that_breaks_off_is_the_models() -> None:
    broken = of(FailureKind.MID_STREAM, cause=FailureKind.NETWORK)
    assert broken == (MODEL, Trouble(Cause.NETWORK), False)


def test_a_caller_without_patience_proves_nothing() -> None:
    assert of(FailureKind.TIMEOUT, waited=PATIENCE_SECONDS - 0.1) is None
    assert of(FailureKind.TIMEOUT, waited=59.0, usual=30.0) is None
    assert of(FailureKind.TIMEOUT, waited=60.0, usual=30.0) is not None


@pytest.mark.parametrize("kind", [FailureKind.NETWORK, FailureKind.OVERLOADED, FailureKind.NOT_FOUND])
def test_the_place_that_was_called_is_to_blame_where_there_are_several(kind: FailureKind) -> None:
    found = of(kind, endpoint_id="e1")
    assert found.subject == Subject(SubjectKind.ENDPOINT, "e1")


@pytest.mark.parametrize("kind", [FailureKind.AUTH, FailureKind.RATE_LIMITED])
def test_what_an_agents_own_key_meets_is_its_own_affair(kind: FailureKind) -> None:
    assert of(kind, own_key=True) is None
    assert of(FailureKind.OVERLOADED, own_key=True) is not None
