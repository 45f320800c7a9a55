"""A limit of calls a minute, kept by many servers together."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from imrs_server.domain.call_rate import BLOCK_SECONDS, WINDOW_SECONDS, Granted


def granted(limit: int, calls: dict[int, int], now: float) -> Granted:
    """As the database tells it."""
    recent = sorted((second, n) for second, n in calls.items() if second > now - WINDOW_SECONDS)
    return Granted(limit=limit, now_seconds=now, calls=tuple(recent))


@given(
    limit=st.integers(1, 5000),
    asks=st.lists(
        st.tuples(st.floats(0, 20), st.floats(0, BLOCK_SECONDS, exclude_max=True)), min_size=1, max_size=120
    ),
)
@settings(max_examples=200)
def test_no_sixty_seconds_ever_see_more_than_the_limit(limit: int, asks: list[tuple[float, float]]) -> None:
    """Whenever servers ask, and however late within its second each block is used."""
    calls: Counter[int] = Counter()
    used: list[tuple[float, int]] = []
    now = 1000.0
    for pause, delay in asks:
        now += pause
        known = granted(limit, calls, now)
        block = known.block
        assert 0 <= block <= limit
        assert (block == 0) == (known.wait_seconds > 0) or block > 0
        calls[known.second] += block
        used.append((now + delay, block))
    for end, _ in used:
        assert sum(n for at, n in used if end - 60 <= at <= end) <= limit


@given(limit=st.integers(1, 5000), seconds=st.lists(st.integers(0, 61), min_size=1, max_size=20))
def test_after_the_wait_a_tenth_is_free(limit: int, seconds: list[int]) -> None:
    calls: Counter[int] = Counter()
    each, rest = divmod(limit, len(seconds))
    for second in seconds:
        calls[1000 + second] += each
    calls[1000 + seconds[0]] += rest
    calls = +calls
    now = 1061.5
    known = granted(limit, calls, now)
    if known.block:
        return
    later = granted(limit, calls, now + known.wait_seconds)
    free = limit - sum(n for _, n in later.calls)
    assert free >= max(1, limit // 10)
    assert known.wait_seconds <= WINDOW_SECONDS


@pytest.mark.parametrize(("limit", "block"), [(1, 1), (60, 1), (1199, 1), (1200, 2), (60_000, 100)])
def test_a_block_is_small_against_the_limit(limit: int, block: int) -> None:
    assert Granted(limit=limit, now_seconds=0.5).block == block


def test_a_limit_that_was_lowered_below_what_is_made_grants_nothing() -> None:
    known = granted(10, {1000: 500}, 1001.0)
    assert known.block == 0
    assert known.wait_seconds == 61
