"""Votes on messages: which signals there are, what each says, and which vote speaks for a message."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import TYPE_CHECKING
from uuid import UUID

from imrs_server.domain.errors import InvalidRequest, Violation

if TYPE_CHECKING:
    from collections.abc import Mapping


class FeedbackType(StrEnum):
    """Who judged, and how: the kinds of which each user has one vote on a message."""

    EXPLICIT = "EXPLICIT"
    IMPLICIT = "IMPLICIT"
    SELF_EVAL = "SELF_EVAL"


class Signal(StrEnum):
    """What was done."""

    THUMBS_UP = "THUMBS_UP"
    THUMBS_DOWN = "THUMBS_DOWN"
    REGENERATE = "REGENERATE"
    COPY = "COPY"
    CONTINUE = "CONTINUE"
    ABANDON = "ABANDON"
    EVALUATION = "EVALUATION"
    SCORE = "SCORE"


TYPES: Mapping[Signal, FeedbackType] = {
    Signal.THUMBS_UP: FeedbackType.EXPLICIT,
    Signal.THUMBS_DOWN: FeedbackType.EXPLICIT,
    Signal.REGENERATE: FeedbackType.IMPLICIT,
    Signal.COPY: FeedbackType.IMPLICIT,
    Signal.CONTINUE: FeedbackType.IMPLICIT,
    Signal.ABANDON: FeedbackType.IMPLICIT,
    Signal.EVALUATION: FeedbackType.SELF_EVAL,
    Signal.SCORE: FeedbackType.EXPLICIT,
}

# SRS FR-04.3, and what the contract adds. RoutingPolicy.signal_ratings may say otherwise.
RATINGS: Mapping[Signal, float] = {
    Signal.THUMBS_UP: 1.0,
    Signal.THUMBS_DOWN: 0.0,
    Signal.REGENERATE: 0.0,
    Signal.COPY: 1.0,
    Signal.CONTINUE: 0.5,
    Signal.ABANDON: 0.0,
}

# A bare rating is a signal too, but for an implicit one: nobody said what was done.
_BARE = {FeedbackType.EXPLICIT: Signal.SCORE, FeedbackType.SELF_EVAL: Signal.EVALUATION}

PENDING_FOR = timedelta(minutes=15)
"""How old the time inside an id may be for its message to be still to come."""

PENDING_UNTIL = timedelta(hours=1)
"""How long a vote waits for its message before it is dropped."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """What one vote says. ``given`` is None where the signal carries the rating."""

    feedback_type: FeedbackType
    signal: Signal | None
    given: float | None = None

    def rating(self, configured: Mapping[str, float]) -> float:
        """The rating to store; ``configured`` holds what differs from RATINGS, by the signal's name."""
        if self.given is not None:
            return self.given
        assert self.signal is not None
        return configured.get(self.signal, RATINGS[self.signal])


def judge(signal: Signal | None, feedback_type: FeedbackType | None, rating: float | None) -> Judgement:
    """Complete what a caller says about one vote.

    The type follows from the signal where it is unset, EXPLICIT without one. Raises InvalidRequest for a
    type that contradicts its signal, a rating beside a signal that carries one, no rating where one is
    needed, and a rating that is not from 0 to 1.
    """
    if signal is None and rating is None:
        raise InvalidRequest(Violation("rating", "must be set where there is no signal"))
    if rating is not None and not (math.isfinite(rating) and 0 <= rating <= 1):
        raise InvalidRequest(Violation("rating", "must be between 0 and 1"))
    if signal is None:
        feedback_type = feedback_type or FeedbackType.EXPLICIT
        return Judgement(feedback_type=feedback_type, signal=_BARE.get(feedback_type), given=rating)
    if feedback_type not in {None, TYPES[signal]}:
        raise InvalidRequest(
            Violation("feedback_type", f"must be {TYPES[signal]} or unset with the signal {signal}")
        )
    if signal in RATINGS and rating is not None:
        raise InvalidRequest(Violation("rating", f"must be unset: the signal {signal} carries one"))
    if signal not in RATINGS and rating is None:
        raise InvalidRequest(Violation("rating", f"must be set with the signal {signal}"))
    return Judgement(feedback_type=TYPES[signal], signal=signal, given=rating)


@dataclass(frozen=True, slots=True, kw_only=True)
class Submission:
    """A vote as a caller hands it in; ``event_time`` None means now."""

    message_id: UUID
    judgement: Judgement
    user_id: str = ""
    comment: str = ""
    event_time: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Feedback:
    """A row of ``feedback``.

    ``create_time`` is when the vote was given; None, before it is stored, means now. While it is pending
    the message's side is empty, but for ``agent_id`` where an agent handed it in: then only a message of
    that agent will do.
    """

    feedback_id: UUID
    message_id: UUID
    agent_id: str = ""
    model_id: str = ""
    task_type: str = ""
    rating: float
    feedback_type: FeedbackType
    signal: Signal | None = None
    user_id: str = ""
    comment: str = ""
    pending: bool = False
    create_time: datetime | None = None
    revoke_time: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class FeedbackFilter:
    """Which votes a list shows; every set field must hold."""

    message_id: UUID | None = None
    agent_id: str = ""
    model_id: str = ""
    task_type: str = ""
    feedback_type: FeedbackType | None = None
    user_id: str = ""
    start_time: datetime | None = None
    end_time: datetime | None = None
