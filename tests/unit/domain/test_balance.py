"""Two choices: each gets its share, and the busy and the slow are passed over."""

from __future__ import annotations

from collections import Counter
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imrs_server.domain.balance import FORGET_SECONDS, Load, choose


def shares(loads: list[Load], weights: list[float], *, now_seconds: float = 0.0) -> list[float]:
    draw, count = Random(3).random, 20_000
    found = Counter(choose(loads, weights, now_seconds, draw) for _ in range(count))
    return [found[position] / count for position in range(len(loads))]


def test_among_equals_each_gets_its_weight() -> None:
    assert shares([Load(), Load(), Load()], [1, 2, 5]) == pytest.approx([0.125, 0.25, 0.625], abs=0.02)
    # A difference that is chance does not matter.
    for slow, fast in ((0.15, 0.10), (0.04, 0.001)):
        alike = [Load(latency_seconds=slow), Load(latency_seconds=fast)]
        assert shares(alike, [1, 1]) == pytest.approx([0.5, 0.5], abs=0.02)


def test_the_busier_of_two_is_not_taken() -> None:
    assert shares([Load(in_flight=3), Load(in_flight=2)], [1, 1]) == [0, 1]
    # Three calls are little for who has four times the weight.
    assert shares([Load(in_flight=3), Load(in_flight=2)], [4, 1]) == [1, 0]


def test_of_three_the_busiest_is_never_taken_and_the_others_share() -> None:
    found = shares([Load(in_flight=9), Load(in_flight=1), Load(in_flight=1)], [1, 1, 1])
    assert found == pytest.approx([0, 0.5, 0.5], abs=0.02)


def test_the_slower_of_two_that_are_equally_busy_likewise() -> None:
    slow, fast = Load(latency_seconds=0.5), Load(latency_seconds=0.1)
    assert shares([slow, fast], [1, 1]) == [0, 1]


def test_who_was_slow_is_forgiven() -> None:
    slow, fast = Load(), Load()
    slow.heard(0.5, 0.0)
    fast.heard(0.1, 3 * FORGET_SECONDS)
    assert slow.latency(3 * FORGET_SECONDS) < 0.03
    assert shares([slow, fast], [1, 1], now_seconds=3 * FORGET_SECONDS)[0] > 0.5


def test_a_mean_follows_what_is_heard() -> None:
    load = Load()
    assert load.latency(0.0) == 0.0
    load.heard(1.0, 0.0)
    assert load.latency(0.0) == 1.0
    for _ in range(20):
        load.heard(0.2, 0.0)
    assert load.latency(0.0) == pytest.approx(0.2, abs=0.01)


@given(
    st.lists(st.tuples(st.integers(0, 50), st.floats(1e-3, 1e6)), min_size=1, max_size=8),
    st.lists(st.floats(0, 1, exclude_max=True), min_size=2, max_size=2),
)
def test_somebody_is_always_chosen(known: list[tuple[int, float]], draws: list[float]) -> None:
    loads = [Load(in_flight=in_flight) for in_flight, _ in known]
    position = choose(loads, [weight for _, weight in known], 0.0, iter(draws).__next__)
    assert 0 <= position < len(known)
