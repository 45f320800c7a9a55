"""How much time work that can wait may take."""

from __future__ import annotations

import pytest

from imrs_server.transport.watch.leisure import Leisure


def test_it_takes_its_share_and_no_more() -> None:
    leisure, now, spent = Leisure(0.25), 0.0, 0.0
    while now < 100:
        now += 0.01
        while leisure.allows(now):
            leisure.spend(0.05)
            spent += 0.05
            now += 0.05
    assert spent / now == pytest.approx(0.25, abs=0.01)


def test_what_took_too_long_is_made_up_for() -> None:
    leisure = Leisure(0.5)
    assert leisure.allows(0.0)
    leisure.spend(10.0)
    assert not leisure.allows(19.0)
    assert leisure.allows(21.0)


def test_a_long_rest_allows_no_more_than_a_short_one() -> None:
    leisure = Leisure(0.5)
    assert leisure.allows(1_000_000.0)
    leisure.spend(0.2)
    assert not leisure.allows(1_000_000.0)


def test_without_a_share_there_is_no_time_after_the_first() -> None:
    leisure = Leisure(0.0)
    leisure.spend(1.0)
    assert not leisure.allows(1e9)
