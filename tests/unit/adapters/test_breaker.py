"""When a service is not asked, and when it is asked again."""

from __future__ import annotations

from contextlib import suppress

import pytest

from imrs_server.adapters.breaker import Breaker, CircuitOpen


class Down(Exception):
    """The service does not answer."""


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def call(breaker: Breaker, error: BaseException | None = None) -> None:
    with suppress(Down, ValueError), breaker.watch(Down):
        if error is not None:
            raise error


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def breaker(clock: Clock) -> Breaker:
    return Breaker(failures=3, open_seconds=1.0, clock=clock)


def test_it_opens_after_failures_in_a_row_and_says_for_how_long(breaker: Breaker, clock: Clock) -> None:
    for _ in range(3):
        call(breaker, Down())
    clock.now += 0.25

    with pytest.raises(CircuitOpen) as caught:
        call(breaker)
    assert caught.value.retry_after_seconds == pytest.approx(0.75)


def test_an_answer_between_failures_keeps_it_closed(breaker: Breaker) -> None:
    for _ in range(5):
        call(breaker, Down())
        call(breaker, Down())
        call(breaker, ValueError("an answer, though a bad one"))
    call(breaker)


def test_one_probe_goes_through_and_closes_it(breaker: Breaker, clock: Clock) -> None:
    for _ in range(3):
        call(breaker, Down())
    clock.now += 1.0

    with breaker.watch(Down), pytest.raises(CircuitOpen):
        call(breaker)
    call(breaker)


def test_a_failed_probe_opens_it_again(breaker: Breaker, clock: Clock) -> None:
    for _ in range(3):
        call(breaker, Down())
    clock.now += 1.0
    call(breaker, Down())

    with pytest.raises(CircuitOpen):
        call(breaker)
    clock.now += 1.0
    call(breaker)
    call(breaker)
