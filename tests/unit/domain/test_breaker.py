"""Breakers: when they open, who reopens them, and how the calls come back."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imrs_server.domain.breaker import (
    LONGEST_SECONDS,
    STEP_SECONDS,
    STEPS,
    WATCHED_SECONDS,
    WINDOW_SECONDS,
    Breaker,
    Cause,
    Phase,
    Subject,
    SubjectKind,
    Tally,
    Trouble,
    advanced,
    cooling_seconds,
    opened,
    recovered,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
MODEL = Subject(SubjectKind.MODEL, "p/m")
DOWN = Trouble(Cause.OVERLOADED)
CAUSES = st.sampled_from(list(Cause))


def cooling(trouble: Trouble = DOWN, *, now: datetime = NOW, generation: int = 1) -> Breaker:
    found = opened(None, MODEL, trouble, seen=0, generation=generation, now=now)
    assert found is not None
    return found


def lived(breaker: Breaker) -> Iterator[Breaker]:
    """All that becomes of it where nothing more happens."""
    found: Breaker | None = breaker
    while found is not None:
        yield found
        found = advanced(found, now=found.due_time)


def test_its_share_comes_back_in_steps() -> None:
    phases = list(lived(cooling()))
    assert [(each.phase, each.share) for each in phases] == [
        (Phase.COOLING, 0.0),
        (Phase.RETURNING, 0.10),
        (Phase.RETURNING, 0.25),
        (Phase.RETURNING, 0.50),
        (Phase.WATCHED, 1.0),
    ]
    lengths = [(each.due_time - each.since_time).total_seconds() for each in phases]
    assert lengths == [10.0, STEP_SECONDS, STEP_SECONDS, STEP_SECONDS, WATCHED_SECONDS]
    assert {each.generation for each in phases} == {1}


def test_a_limit_of_ones_own_is_over_when_its_time_is() -> None:
    assert len(list(lived(cooling(Trouble(Cause.RATE_LIMIT_RPM, 30.0))))) == 1


def test_steps_that_were_missed_are_not_skipped() -> None:
    late = NOW + timedelta(hours=1)
    found = advanced(cooling(), now=late)
    assert found is not None
    assert (found.share, found.since_time) == (STEPS[0], late)
    assert found.due_time == late + timedelta(seconds=STEP_SECONDS)


def test_the_wait_that_was_told_is_kept() -> None:
    found = cooling(Trouble(Cause.RATE_LIMITED, 42.0))
    assert found.due_time - NOW == timedelta(seconds=42)
    assert cooling_seconds(Trouble(Cause.RATE_LIMITED, 42.0), 9) == 42


def test_each_time_in_a_row_takes_longer() -> None:
    assert [cooling_seconds(DOWN, n) for n in range(1, 7)] == [10, 20, 40, 80, 160, LONGEST_SECONDS]


@pytest.mark.parametrize("age", [1, 2, 3, 4])
def test_trouble_on_the_way_back_opens_it_again_for_longer(age: int) -> None:
    back = list(lived(cooling()))[age]
    again = opened(back, MODEL, DOWN, seen=back.generation, generation=99, now=NOW)
    assert again is not None
    assert (again.phase, again.openings, again.generation) == (Phase.COOLING, 2, 99)
    assert again.due_time - NOW == timedelta(seconds=20)


def test_what_began_before_it_opened_is_no_news() -> None:
    returning = list(lived(cooling()))[1]
    for seen in (0, 99):
        assert opened(returning, MODEL, DOWN, seen=seen, generation=9, now=NOW) is None
    assert opened(None, MODEL, DOWN, seen=1, generation=9, now=NOW) is None


def test_many_servers_that_report_the_same_open_it_once() -> None:
    first = cooling()
    for seen in (0, first.generation):
        assert opened(first, MODEL, DOWN, seen=seen, generation=2, now=NOW) is None


def test_only_a_longer_wait_prolongs_it() -> None:
    known = cooling(Trouble(Cause.RATE_LIMITED, 20.0))
    for seconds in (1.0, 20.0, 20.9):
        told = Trouble(Cause.RATE_LIMITED, seconds)
        assert opened(known, MODEL, told, seen=0, generation=2, now=NOW) is None
    longer = opened(known, MODEL, Trouble(Cause.RATE_LIMITED, 40.0), seen=0, generation=2, now=NOW)
    assert longer is not None
    assert (longer.generation, longer.due_time) == (known.generation, NOW + timedelta(seconds=40))


def test_who_answers_while_it_cools_is_on_the_way_back() -> None:
    known = cooling()
    back = recovered(known, seen=known.generation, now=NOW)
    assert back is not None
    assert (back.phase, back.share) == (Phase.RETURNING, STEPS[0])
    assert recovered(known, seen=0, now=NOW) is None
    assert recovered(back, seen=back.generation, now=NOW) is None
    limited = cooling(Trouble(Cause.RATE_LIMITED, 20.0))
    assert recovered(limited, seen=limited.generation, now=NOW) is None


def test_its_detail_tells_why_and_until_when() -> None:
    first, second, *_ = lived(cooling(Trouble(Cause.RATE_LIMITED, 20.0)))
    assert first.detail == "rate limited; cools until 2026-11-21 12:00:20 UTC"
    assert second.detail == "rate limited until 2026-11-21 12:00:20 UTC; 10% of the calls so far"


EVENTS = st.one_of(
    st.tuples(st.just("open"), st.builds(Trouble, CAUSES, st.none() | st.floats(0, 1e6)), st.booleans()),
    st.tuples(st.just("advance"), st.floats(0, 1000), st.none()),
    st.tuples(st.just("recover"), st.booleans(), st.none()),
)


@given(events=st.lists(EVENTS, max_size=40))
def test_whatever_happens_it_stays_sound(events: list[tuple[str, object, object]]) -> None:
    """Nothing shortens a cooling, no phase lasts for ever, and no share comes back before its step."""
    breaker: Breaker | None = None
    now = NOW
    for number, (what, first, second) in enumerate(events, start=1):
        before, seen = breaker, breaker.generation if breaker else 0
        after = before
        match what, first:
            case "open", Trouble() as trouble:
                stale = bool(second)
                report = seen + 1000 if stale else seen
                after = opened(before, MODEL, trouble, seen=report, generation=number, now=now) or before
                if stale and (before is None or before.phase is not Phase.COOLING):
                    assert after is before
            case "advance", float() as seconds:
                now += timedelta(seconds=seconds)
                if before is not None and before.due_time <= now:
                    after = advanced(before, now=now)
            case "recover", _ if before is not None:
                after = recovered(before, seen=seen if first else -1, now=now) or before
        breaker = after
        if breaker is None:
            continue
        assert 0 <= breaker.share <= 1
        assert breaker.due_time <= now + timedelta(seconds=max(LONGEST_SECONDS, WATCHED_SECONDS))
        assert (breaker.share == 0) == (breaker.phase is Phase.COOLING)
        assert (breaker.share == 1) == (breaker.phase is Phase.WATCHED)
        if before is not None and breaker.phase is before.phase is Phase.COOLING:
            assert breaker.due_time >= before.due_time
        if before is not None and breaker.share > before.share:
            allowed = [0.0, *STEPS, 1.0]
            assert allowed.index(breaker.share) == allowed.index(before.share) + 1


@given(seen=st.lists(st.integers(0, 3), min_size=1, max_size=8), trouble=st.builds(Trouble, CAUSES))
def test_reports_of_the_same_count_once_in_any_order(seen: list[int], trouble: Trouble) -> None:
    """As from many servers, of which some lag behind."""
    before = replace(list(lived(cooling()))[1], generation=2)
    after = before
    for report in seen:
        after = opened(after, MODEL, trouble, seen=report, generation=7, now=NOW) or after
    assert after.openings == before.openings + (2 in seen)


def tallied(outcomes: str, phase: Phase | None = None) -> bool:
    """Whether the last of these outcomes opens it: o went well, x did not."""
    tally = Tally(0, phase, 0.0)
    found = False
    for each in outcomes:
        if each == "x":
            found = tally.failed()
        else:
            tally.succeeded()
            found = False
    return found


@pytest.mark.parametrize("outcomes", ["xxx", "xxoxoxx", "xoxoxoxox"])
def test_half_of_the_calls_and_five_of_them_or_three_in_a_row_open_it(outcomes: str) -> None:
    assert not tallied(outcomes[:-1])
    assert tallied(outcomes)


@pytest.mark.parametrize("outcomes", ["x", "xx", "xoxxx", "xooooooxxxx", "x" + "o" * 100 + "xxxxx"])
def test_less_does_not(outcomes: str) -> None:
    assert not tallied(outcomes)


def test_two_failures_are_enough_on_the_way_back_unless_most_calls_went_well() -> None:
    assert not tallied("x", Phase.RETURNING)
    assert tallied("xx", Phase.RETURNING)
    assert tallied("oxox", Phase.RETURNING)
    assert not tallied("oooxx", Phase.RETURNING)


def test_what_is_long_ago_or_of_another_phase_does_not_count() -> None:
    tally = Tally(3, None, 100.0)
    assert not tally.is_over(3, None, 100.0 + WINDOW_SECONDS)
    assert tally.is_over(3, None, 100.1 + WINDOW_SECONDS)
    assert tally.is_over(4, None, 100.0)
    assert tally.is_over(3, Phase.WATCHED, 100.0)
