"""Who reaches nobody suspects the own network."""

from __future__ import annotations

from imrs_server.domain.reach import MEMORY_SECONDS, Reach


def test_one_provider_that_is_missed_is_its_own_trouble() -> None:
    reach = Reach()
    for now in range(10):
        reach.missed("p", now)
    assert not reach.is_cut_off(10)


def test_several_that_are_missed_while_nobody_answers_are_ours() -> None:
    reach = Reach()
    reach.missed("p", 1)
    reach.missed("q", 2)
    assert reach.is_cut_off(2)
    reach.answered()
    assert not reach.is_cut_off(2)
    reach.missed("p", 3)
    assert not reach.is_cut_off(3)


def test_what_was_missed_long_ago_does_not_count() -> None:
    reach = Reach()
    reach.missed("p", 1)
    reach.missed("q", 2 + MEMORY_SECONDS)
    assert not reach.is_cut_off(2 + MEMORY_SECONDS)
