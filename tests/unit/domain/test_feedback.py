"""What a vote may say."""

from __future__ import annotations

import pytest

from imrs_server.domain.errors import InvalidRequest
from imrs_server.domain.feedback import RATINGS, TYPES, FeedbackType, Signal, judge

CARRYING = list(RATINGS)
RATED = [Signal.SCORE, Signal.EVALUATION]


def refused(signal: Signal | None, feedback_type: FeedbackType | None, rating: float | None) -> str:
    with pytest.raises(InvalidRequest) as caught:
        judge(signal, feedback_type, rating)
    return caught.value.violations[0].field


@pytest.mark.parametrize("signal", CARRYING)
def test_a_signal_carries_its_rating_and_type(signal: Signal) -> None:
    found = judge(signal, None, None)

    assert (found.signal, found.feedback_type) == (signal, TYPES[signal])
    assert found.rating({}) == RATINGS[signal]
    assert found.rating({signal.value: 0.7}) == 0.7


def test_ratings_are_those_of_the_srs() -> None:
    expected = {
        "REGENERATE": 0.0, "COPY": 1.0, "CONTINUE": 0.5, "ABANDON": 0.0, "THUMBS_UP": 1.0, "THUMBS_DOWN": 0.0,
    }  # fmt: skip
    assert dict(RATINGS) == expected


@pytest.mark.parametrize("signal", RATED)
def test_a_rated_signal_needs_a_rating(signal: Signal) -> None:
    assert refused(signal, None, None) == "rating"
    assert judge(signal, None, 0.25).rating({signal.value: 1.0}) == 0.25


@pytest.mark.parametrize("signal", CARRYING)
def test_a_rating_beside_a_signal_that_carries_one_is_refused(signal: Signal) -> None:
    assert refused(signal, None, RATINGS[signal]) == "rating"


@pytest.mark.parametrize("signal", list(Signal))
@pytest.mark.parametrize("feedback_type", list(FeedbackType))
def test_a_type_must_not_contradict_its_signal(signal: Signal, feedback_type: FeedbackType) -> None:
    rating = 0.5 if signal in RATED else None
    if feedback_type is TYPES[signal]:
        assert judge(signal, feedback_type, rating).feedback_type is feedback_type
    else:
        assert refused(signal, feedback_type, rating) == "feedback_type"


def test_a_bare_rating_is_explicit_unless_it_says_otherwise() -> None:
    assert judge(None, None, 1.0).feedback_type is FeedbackType.EXPLICIT
    assert judge(None, None, 1.0).signal is Signal.SCORE
    assert judge(None, FeedbackType.SELF_EVAL, 1.0).signal is Signal.EVALUATION
    assert judge(None, FeedbackType.IMPLICIT, 1.0).signal is None


@pytest.mark.parametrize("rating", [float("nan"), float("inf"), -0.01, 1.5, None])
def test_a_rating_that_is_none_is_refused(rating: float | None) -> None:
    assert refused(None, None, rating) == "rating"
