"""Which votes on a message count, and which one speaks for it."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imrs_server.domain.feedback import Feedback, FeedbackType
from imrs_server.domain.votes import Vote, speaker, stand

if TYPE_CHECKING:
    from random import Random

NOON = datetime(2026, 3, 10, 12, tzinfo=UTC)
EXPLICIT, IMPLICIT, SELF_EVAL = FeedbackType


def vote(
    number: int, kind: FeedbackType, *, minute: int = 0, live: bool = True, pending: bool = False
) -> Vote:
    return Vote(
        tenant_id=UUID(int=1),
        partition_time=NOON,
        cast=Feedback(
            feedback_id=UUID(int=number),
            message_id=UUID(int=2),
            rating=0.5,
            feedback_type=kind,
            pending=pending,
            create_time=NOON + timedelta(minutes=minute),
            revoke_time=None if live else NOON,
        ),
    )


def flags(votes: list[Vote]) -> list[tuple[bool, bool]]:
    return [(each.counts, each.speaks) for each in stand(votes)]


def test_a_vote_alone_counts_and_speaks() -> None:
    for kind in FeedbackType:
        assert flags([vote(1, kind)]) == [(True, True)]
    assert flags([]) == []


def test_without_an_explicit_vote_all_count_and_the_last_speaks() -> None:
    votes = [vote(1, IMPLICIT, minute=2), vote(2, SELF_EVAL, minute=3), vote(3, IMPLICIT, minute=1)]
    assert flags(votes) == [(True, False), (True, True), (True, False)]


def test_where_somebody_said_it_in_so_many_words_only_that_counts() -> None:
    votes = [vote(1, IMPLICIT, minute=9), vote(2, EXPLICIT, minute=1), vote(3, EXPLICIT)]
    assert flags(votes) == [(False, False), (True, True), (True, False)]


@pytest.mark.parametrize("gone", [{"live": False}, {"pending": True}])
def test_votes_that_wait_or_were_taken_back_do_nothing_and_are_left_alone(gone: dict[str, bool]) -> None:
    explicit = vote(1, EXPLICIT, minute=5, **gone)
    stood = stand([explicit, vote(2, IMPLICIT)])
    assert stood[0] is explicit
    assert (stood[1].counts, stood[1].speaks) == (True, True)
    assert speaker(stood) is stood[1]
    assert speaker([explicit]) is None


def test_of_two_votes_of_one_time_the_greater_id_is_the_last() -> None:
    assert flags([vote(9, IMPLICIT), vote(8, IMPLICIT)]) == [(True, True), (True, False)]


VOTES = st.lists(
    st.builds(
        vote,
        st.integers(1, 10**6),
        st.sampled_from(list(FeedbackType)),
        minute=st.integers(0, 3),
        live=st.booleans(),
        pending=st.booleans(),
    ),
    unique_by=lambda each: each.cast.feedback_id,
)


@given(VOTES, st.randoms())
def test_the_order_in_which_votes_are_looked_at_says_nothing(votes: list[Vote], pick: Random) -> None:
    shuffled = list(votes)
    pick.shuffle(shuffled)
    assert {each.cast.feedback_id: each for each in stand(votes)} == {
        each.cast.feedback_id: each for each in stand(shuffled)
    }


@given(VOTES)
def test_exactly_one_live_vote_speaks_and_it_counts(votes: list[Vote]) -> None:
    stood = stand(votes)
    live = [each for each in stood if each.is_live]
    assert [each.counts for each in live if each.speaks] == [True] * bool(live)
    assert stand(stood) == stood
    upside_down = [replace(each, counts=False, speaks=False) for each in votes]
    assert [each for each in stand(upside_down) if each.is_live] == live
