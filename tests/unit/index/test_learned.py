"""As of when evidence is read."""

from __future__ import annotations

from datetime import timedelta

import pytest

from imrs_server.index import learned
from imrs_server.index.learned import STEPS_A_HALF_LIFE
from tests.support.evidence import cells, rated

HALF_LIFE = timedelta(days=45)
STEP_SECONDS = HALF_LIFE.total_seconds() / STEPS_A_HALF_LIFE


def of(newest: float) -> learned.Learned:
    return learned.of({"code": cells({"p/m": rated(3, 2, last_time=newest)})}, HALF_LIFE)


def test_time_goes_by_steps_so_that_a_rating_leaves_the_others_as_they_are() -> None:
    begin = 1000 * STEP_SECONDS
    first, last, next_ = of(begin + 1), of(begin + STEP_SECONDS - 1), of(begin + STEP_SECONDS + 1)
    assert first.decay == last.decay
    assert first.decay.time == begin
    assert next_.decay.time == begin + STEP_SECONDS


def test_a_step_is_worth_less_than_a_thousandth() -> None:
    assert 2 ** (-1 / STEPS_A_HALF_LIFE) > 0.999


def test_what_was_learned_goes_on_by_the_same_steps() -> None:
    later = {"code": cells({"p/m": rated(4, 2, last_time=5000 * STEP_SECONDS + 9)})}
    assert of(1).renewed(later).decay == learned.of(later, HALF_LIFE).decay


@pytest.mark.parametrize("half_life", [None, timedelta(0)])
def test_without_a_half_life_nothing_fades(half_life: timedelta | None) -> None:
    found = learned.of({"code": cells({"p/m": rated(3, 2, last_time=1)})}, half_life)
    assert found.decay.half_life_seconds == 0
