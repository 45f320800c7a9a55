"""The votes on one message among each other: which of them count, and which one speaks for the message."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING
from uuid import UUID

from imrs_server.domain.feedback import Feedback, FeedbackType

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence


@dataclass(frozen=True, slots=True, kw_only=True)
class Vote:
    """A vote, where it is kept, and what it does for its message.

    It ``counts`` where it is evidence, and ``speaks`` where it is the message's rating.
    """

    tenant_id: UUID
    partition_time: datetime
    cast: Feedback
    counts: bool = True
    speaks: bool = True

    @property
    def is_live(self) -> bool:
        """Whether it knows its message and was not taken back."""
        return not self.cast.pending and self.cast.revoke_time is None


def stand(votes: Sequence[Vote]) -> list[Vote]:
    """All votes on one message as they stand now, in the same order.

    Among the live ones, what somebody said in so many words wins over what was inferred: where any is
    EXPLICIT, only those count. The last that counts speaks. The others do nothing and stay as they are.
    """
    explicit = any(each.is_live and each.cast.feedback_type is FeedbackType.EXPLICIT for each in votes)
    counting = {
        each.cast.feedback_id
        for each in votes
        if each.is_live and (not explicit or each.cast.feedback_type is FeedbackType.EXPLICIT)
    }
    last = _last(each for each in votes if each.cast.feedback_id in counting)
    return [_standing(each, counts=each.cast.feedback_id in counting, speaks=each is last) for each in votes]


def speaker(votes: Iterable[Vote]) -> Vote | None:
    """The one whose rating is the message's; None where no vote is live."""
    return next((each for each in votes if each.is_live and each.speaks), None)


def _last(votes: Iterable[Vote]) -> Vote | None:
    return max(votes, key=lambda each: (each.cast.create_time, each.cast.feedback_id), default=None)


def _standing(vote: Vote, *, counts: bool, speaks: bool) -> Vote:
    if not vote.is_live or (vote.counts, vote.speaks) == (counts, speaks):
        return vote
    return replace(vote, counts=counts, speaks=speaks)
