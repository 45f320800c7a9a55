"""An hour in the life of a breaker: what providers of all kinds cost, call by call on a clock of its own."""

from __future__ import annotations

import heapq
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from random import Random
from typing import TYPE_CHECKING

import pytest

from imrs_server.domain.breaker import (
    Breaker,
    Cause,
    Subject,
    SubjectKind,
    Tally,
    Trouble,
    advanced,
    opened,
)

if TYPE_CHECKING:
    from collections.abc import Callable

MODEL = Subject(SubjectKind.MODEL, "p/m")
BEGIN = datetime(2026, 11, 21, tzinfo=UTC)
HOUR_SECONDS = 3600
CALLS_A_SECOND = 10


@dataclass
class Hour:
    """What came of it: calls that were sent to the model, those that failed, and changes of the breaker."""

    sent: int = 0
    failed: int = 0
    changes: int = 0


def lived(fails: Callable[[float], bool], *, call_seconds: float, cause: Cause) -> Hour:
    """Requests come evenly. Each is sent where its draw is below the share; its end comes later."""
    random, hour = Random(7), Hour()
    breaker: Breaker | None = None
    tally: Tally | None = None
    ends: list[tuple[float, int, bool, int]] = []
    for number in range(HOUR_SECONDS * CALLS_A_SECOND):
        now = number / CALLS_A_SECOND
        time = BEGIN + timedelta(seconds=now)
        if breaker is not None and breaker.due_time <= time:
            breaker, tally = advanced(breaker, now=time), None
            hour.changes += 1
        while ends and ends[0][0] <= now:
            _, _, bad, generation = heapq.heappop(ends)
            known = breaker.generation if breaker else 0
            if generation != known:
                continue
            phase = breaker.phase if breaker else None
            if tally is None or tally.is_over(known, phase, now):
                tally = Tally(known, phase, now)
            if not bad:
                tally.succeeded()
            elif tally.failed():
                trouble = Trouble(cause, call_seconds=call_seconds)
                after = opened(breaker, MODEL, trouble, seen=generation, generation=number + 1, now=time)
                hour.changes += after is not None
                breaker, tally = after or breaker, None
        if breaker is not None and random.random() >= breaker.share:
            continue
        bad = fails(now)
        hour.sent += 1
        hour.failed += bad
        heapq.heappush(ends, (now + call_seconds, number, bad, breaker.generation if breaker else 0))
    return hour


def test_a_provider_that_is_down_is_hardly_asked() -> None:
    hour = lived(lambda _now: True, call_seconds=0.2, cause=Cause.OVERLOADED)
    assert hour.sent < 100
    assert hour.changes < 50


def test_a_provider_that_hangs_is_given_few_calls_to_hang_on() -> None:
    """What was sent before the first of them ended cannot be helped."""
    hour = lived(lambda _now: True, call_seconds=30.0, cause=Cause.TIMEOUT)
    assert hour.sent < 300 + 15 * 2 * 30
    assert hour.changes < 50


@pytest.mark.parametrize("share", [0.01, 0.05, 0.1])
def test_a_provider_that_fails_now_and_then_keeps_its_calls(share: float) -> None:
    random = Random(3)
    hour = lived(lambda _now: random.random() < share, call_seconds=0.2, cause=Cause.OVERLOADED)
    assert hour.sent > 0.97 * HOUR_SECONDS * CALLS_A_SECOND


@pytest.mark.parametrize("period_seconds", [7, 45, 200])
def test_a_provider_that_flaps_fails_few_and_changes_little(period_seconds: int) -> None:
    """Half of the time it is down, and always just when nobody looks."""

    def fails(now: float) -> bool:
        return int(now / period_seconds) % 2 == 0

    hour = lived(fails, call_seconds=0.2, cause=Cause.OVERLOADED)
    assert hour.failed < 0.03 * HOUR_SECONDS * CALLS_A_SECOND
    assert hour.changes < 150


def test_a_provider_that_is_back_has_all_of_its_calls_soon() -> None:
    hour = lived(lambda now: now < 100, call_seconds=0.2, cause=Cause.OVERLOADED)
    missed = HOUR_SECONDS * CALLS_A_SECOND - hour.sent
    # It was down for 100 s, left alone for at most as long again, and came back in 15.
    assert missed < (100 + 110 + 15) * CALLS_A_SECOND
