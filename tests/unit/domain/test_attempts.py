"""The order in which models are called, failure by failure."""

from __future__ import annotations

from typing import Any

import pytest

from imrs_server.domain.attempts import FIRST_PAUSE_SECONDS, Attempts
from imrs_server.domain.chat import ChatFailure, FailureKind
from imrs_server.domain.decision import SelectedModel


def model(name: str, *, key: str = "", context_length: int | None = None) -> SelectedModel:
    return SelectedModel(model_id=name, api_key_vault_path=key or name, context_length=context_length)


def failure(kind: FailureKind, **fields: Any) -> ChatFailure:
    return ChatFailure(kind, "in words", **fields)


def played(attempts: Attempts, *failures: ChatFailure, now: float = 0.0) -> list[str]:
    """The models that are called when they fail so one after the other."""
    called = []
    for each in failures:
        turn = attempts.next(now)
        if turn is None:
            break
        called.append(turn.model.model_id)
        attempts.called(turn.model)
        attempts.failed(turn.model, each, now)
    last = attempts.next(now)
    return called if last is None else [*called, last.model.model_id]


A, B, C = model("a"), model("b"), model("c")


@pytest.mark.parametrize(
    "kind",
    [
        FailureKind.TIMEOUT, FailureKind.RATE_LIMITED, FailureKind.OVERLOADED, FailureKind.CONTEXT_TOO_LONG,
        FailureKind.AUTH, FailureKind.NOT_FOUND, FailureKind.NETWORK, FailureKind.INVALID_RESPONSE,
    ],
)  # fmt: skip
def test_the_next_model_is_called(kind: FailureKind) -> None:
    assert played(Attempts([A, B, C]), failure(kind)) == ["a", "b"]


@pytest.mark.parametrize("status", [400, 422])
def test_a_bad_request_is_bad_for_all(status: int) -> None:
    assert played(Attempts([A, B]), failure(FailureKind.BAD_REQUEST, status=status)) == ["a"]


@pytest.mark.parametrize("status", [None, 404, 405])
def test_what_only_this_provider_cannot_do_is_tried_elsewhere(status: int | None) -> None:
    assert played(Attempts([A, B]), failure(FailureKind.BAD_REQUEST, status=status)) == ["a", "b"]


def test_refused_content_is_not_taken_round() -> None:
    assert played(Attempts([A, B]), failure(FailureKind.CONTENT_REFUSED, status=400)) == ["a"]


def test_what_broke_an_answer_in_the_middle_counts() -> None:
    refused = failure(FailureKind.MID_STREAM, cause=FailureKind.CONTENT_REFUSED)
    assert played(Attempts([A, B]), refused) == ["a"]
    broken = failure(FailureKind.MID_STREAM, cause=FailureKind.NETWORK)
    assert played(Attempts([A, B]), broken) == ["a", "b"]


def test_a_refused_key_is_not_shown_again() -> None:
    attempts = Attempts([A, model("b", key="a"), C])
    assert played(attempts, failure(FailureKind.AUTH)) == ["a", "c"]


def test_a_key_that_is_not_there_takes_no_attempt() -> None:
    attempts = Attempts([A, model("b", key="a"), C], most=1)
    attempts.unreachable(A)
    turn = attempts.next(0)
    assert turn is not None
    assert (turn.model, turn.alone) == (C, True)


def test_what_is_known_to_be_as_short_is_passed_over() -> None:
    models = [
        model("a", context_length=100),
        model("b", context_length=100),
        model("c"),
        model("d", context_length=200),
    ]
    too_long = failure(FailureKind.CONTEXT_TOO_LONG)
    assert played(Attempts(models), too_long, too_long) == ["a", "c", "d"]


def test_each_model_once_where_nobody_says_how_often() -> None:
    busy = failure(FailureKind.OVERLOADED)
    assert played(Attempts([A, B]), busy, busy, busy) == ["a", "b"]


def test_attempts_that_are_left_go_to_who_is_due_first() -> None:
    attempts = Attempts([A, B], most=4)
    limited = failure(FailureKind.RATE_LIMITED, retry_after_seconds=9)
    assert played(attempts, limited, failure(FailureKind.OVERLOADED)) == ["a", "b", "b"]
    turn = attempts.next(0.1)
    assert turn is not None
    assert turn.wait_seconds == pytest.approx(FIRST_PAUSE_SECONDS - 0.1)
    attempts.called(turn.model)
    attempts.failed(turn.model, failure(FailureKind.NOT_FOUND), 0.6)
    turn = attempts.next(0.6)
    assert turn is not None
    assert turn.model is A
    assert turn.wait_seconds == pytest.approx(8.4)


def test_pauses_double() -> None:
    attempts = Attempts([A], most=3)
    for wait_seconds in (0.0, FIRST_PAUSE_SECONDS, 2 * FIRST_PAUSE_SECONDS):
        turn = attempts.next(0)
        assert turn is not None
        assert turn.wait_seconds == wait_seconds
        attempts.called(turn.model)
        attempts.failed(turn.model, failure(FailureKind.NETWORK), 0)
    assert attempts.next(0) is None


def test_what_no_moment_cures_is_not_called_again() -> None:
    spent = failure(FailureKind.RATE_LIMITED, again=False)
    assert played(Attempts([A], most=5), spent) == ["a"]


def test_the_last_one_knows_that_nobody_comes_after() -> None:
    attempts = Attempts([A, B, C], most=2)
    alone = []
    while (turn := attempts.next(0)) is not None:
        alone.append(turn.alone)
        attempts.called(turn.model)
        attempts.failed(turn.model, failure(FailureKind.NOT_FOUND), 0)
    assert alone == [False, True]


def test_a_model_that_is_left_alone_comes_after_the_others() -> None:
    attempts = Attempts([A, B, C])
    attempts.put_off(A, 0.0, 0.0)
    attempts.called(B)
    attempts.failed(B, failure(FailureKind.OVERLOADED), 0.0)
    attempts.called(C)
    attempts.failed(C, failure(FailureKind.INVALID_RESPONSE), 0.0)
    turn = attempts.next(0.0)
    assert turn is not None
    assert (turn.model, turn.wait_seconds, turn.again) == (A, 0.0, True)


def test_a_model_that_is_limited_comes_when_its_time_is_over() -> None:
    attempts = Attempts([A, B])
    attempts.put_off(A, 7.0, 100.0)
    attempts.put_off(B, 5.0, 100.0)
    turn = attempts.next(101.0)
    assert turn is not None
    assert (turn.model, turn.wait_seconds) == (B, 4.0)


def test_a_model_that_is_left_alone_for_good_takes_no_attempt() -> None:
    attempts = Attempts([A, B], most=1)
    attempts.put_off(A, None, 0.0)
    turn = attempts.next(0.0)
    assert turn is not None
    assert (turn.model, turn.again) == (B, False)
