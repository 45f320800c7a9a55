"""The thread of a job: when its turns come, and what ends it."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

from structlog.testing import capture_logs

from imrs_server.domain.errors import DatabaseUnavailable, VaultUnreachable
from imrs_server.jobs.loop import Loop
from tests.support.threads import StoppedBeforeClear
from tests.support.waiting import eventually

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

FOREVER_SECONDS = 3600.0


@contextmanager
def running(
    turn: Callable[[], float], *, retry_seconds: float = FOREVER_SECONDS, rest_seconds: float = 0.0
) -> Iterator[Loop]:
    loop = Loop("job", turn, retry_seconds=retry_seconds, rest_seconds=rest_seconds)
    loop.start()
    try:
        yield loop
    finally:
        loop.stop()
        assert not loop.running


class Turns:
    """Counts turns, and does in each what it is told."""

    def __init__(self, *doings: float | Exception, then: float = FOREVER_SECONDS) -> None:
        self._doings = list(doings)
        self._then = then
        self.count = 0

    def reached(self, count: int) -> bool:
        return self.count == count

    def __call__(self) -> float:
        self.count += 1
        doing = self._doings.pop(0) if self._doings else self._then
        if isinstance(doing, Exception):
            raise doing
        return doing


def said(logged: list[Any]) -> list[tuple[str, str, str | None]]:
    return [(each["event"], each["log_level"], each.get("reason")) for each in logged]


def test_the_first_turn_comes_at_once_and_says_when_the_next_does() -> None:
    turns = Turns(0.0, 0.01)
    with running(turns):
        eventually(lambda: turns.count == 3)


def test_a_loop_that_is_woken_does_not_wait() -> None:
    turns = Turns()
    with running(turns) as loop:
        for count in range(1, 4):
            eventually(partial(turns.reached, count))
            loop.wake()
        eventually(lambda: turns.count == 4)


def test_what_wakes_it_during_a_turn_brings_another_one() -> None:
    inside, go_on = threading.Event(), threading.Event()
    turns = Turns()

    def turn() -> float:
        inside.set()
        go_on.wait(20)
        return turns()

    with running(turn) as loop:
        assert inside.wait(20)
        loop.wake()
        go_on.set()
        eventually(lambda: turns.count == 2)


def test_it_outlives_turns_that_fail_and_says_so() -> None:
    turns = Turns(DatabaseUnavailable(), ZeroDivisionError())
    with capture_logs() as logged, running(turns, retry_seconds=0.01):
        eventually(lambda: turns.count == 3)
    assert said(logged) == [
        ("job.failed", "warning", "DATABASE_UNAVAILABLE"),
        ("job.failed", "error", None),
        ("job.recovered", "info", "DATABASE_UNAVAILABLE"),
    ]


def test_what_is_away_for_long_is_told_when_it_goes_and_when_it_is_back() -> None:
    away = [DatabaseUnavailable() for _ in range(5)]
    turns = Turns(*away, 0.0, *away, VaultUnreachable())
    with capture_logs() as logged, running(turns, retry_seconds=0.001):
        eventually(lambda: turns.count == 13)
    assert said(logged) == [
        ("job.failed", "warning", "DATABASE_UNAVAILABLE"),
        ("job.recovered", "info", "DATABASE_UNAVAILABLE"),
        ("job.failed", "warning", "DATABASE_UNAVAILABLE"),
        ("job.failed", "warning", "VAULT_UNREACHABLE"),
        ("job.recovered", "info", "VAULT_UNREACHABLE"),
    ]


def test_stopping_interrupts_every_wait_and_is_seen_by_a_long_turn() -> None:
    started = threading.Event()
    loops: list[Loop] = []

    def long() -> float:
        started.set()
        eventually(lambda: loops[0].stopping)
        return 0.0

    loops.append(Loop("long", long, retry_seconds=0.0))
    loops[0].start()
    assert started.wait(20)
    loops[0].stop()
    assert not loops[0].running

    turns = Turns()
    with running(turns, rest_seconds=FOREVER_SECONDS):
        eventually(lambda: turns.count == 1)


def test_who_stops_it_in_the_moment_that_it_wakes_is_heard() -> None:
    loop = Loop("job", Turns(), retry_seconds=FOREVER_SECONDS)
    loop._woken = StoppedBeforeClear(loop.stop)
    loop.start()
    eventually(lambda: not loop.running)
