"""Breakers: who fails is left alone for a while, and then gets its share of the calls back in steps.

A breaker goes COOLING -> RETURNING (10 %, 25 %, 50 % of the calls) -> WATCHED (all of them) -> gone. Trouble
on the way leads back to COOLING, each time for longer; whoever is gone starts afresh. Time alone moves a
breaker on: no call is ever made to probe. The shape is that of Nygard's circuit breaker (Release It!, 2007)
with the ramp of Envoy's slow start in the place of a single trial call.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import NamedTuple

STEP_SECONDS = 5.0
STEPS = (0.10, 0.25, 0.50)
"""The shares of the calls that come back, one after the other, for STEP_SECONDS each or longer."""
LONGEST_STEP_SECONDS = 60.0
WATCHED_SECONDS = 300.0
"""Trouble within this time is taken for the same as before."""
LONGEST_SECONDS = 300.0
SHORTEST_SECONDS = 1.0
# Two reports of the same wait differ by the time that they took.
_SLACK = timedelta(seconds=1)


class SubjectKind(StrEnum):
    """What a breaker is of."""

    PROVIDER = "PROVIDER"
    MODEL = "MODEL"
    ENDPOINT = "ENDPOINT"


class Subject(NamedTuple):
    """Of which one; ``subject_id`` is its provider_id, model_id or endpoint_id."""

    kind: SubjectKind
    subject_id: str

    def __str__(self) -> str:
        return f"{self.kind.lower()} {self.subject_id}"


class Phase(StrEnum):
    """WATCHED gets all calls; it is only remembered what it did."""

    COOLING = "COOLING"
    RETURNING = "RETURNING"
    WATCHED = "WATCHED"


class Cause(StrEnum):
    """Why it cools: an error kind, NO_CREDIT, or RATE_LIMIT_RPM, the limit that was configured here."""

    RATE_LIMITED = "rate_limited"
    RATE_LIMIT_RPM = "rate_limit_rpm"
    OVERLOADED = "overloaded"
    TIMEOUT = "timeout"
    NETWORK = "network"
    INVALID_RESPONSE = "invalid_response"
    AUTH = "auth"
    NO_CREDIT = "no_credit"

    @property
    def is_limit(self) -> bool:
        """Whether it says that calls are not wanted now, rather than that they fail."""
        return self in (Cause.RATE_LIMITED, Cause.RATE_LIMIT_RPM)

    @property
    def is_of_key(self) -> bool:
        """Whether it is met by one key, and another one may well be served."""
        return self in (Cause.RATE_LIMITED, Cause.AUTH, Cause.NO_CREDIT)

    @property
    def words(self) -> str:
        """For people."""
        return _WORDS[self]


_FIRST_SECONDS = {
    Cause.RATE_LIMITED: 5.0,
    # People must do something first.
    Cause.AUTH: 60.0,
    Cause.NO_CREDIT: 60.0,
}
_OTHERWISE_SECONDS = 10.0

_WORDS = {
    Cause.RATE_LIMITED: "rate limited",
    Cause.RATE_LIMIT_RPM: "its rate_limit_rpm is used up",
    Cause.OVERLOADED: "overloaded, or failing by itself",
    Cause.TIMEOUT: "does not answer in time",
    Cause.NETWORK: "cannot be reached",
    Cause.INVALID_RESPONSE: "its answers cannot be used",
    Cause.AUTH: "refuses the key",
    Cause.NO_CREDIT: "its account has no credit left",
}


@dataclass(frozen=True, slots=True)
class Trouble:
    """What opens a breaker. ``wait_seconds`` is how long to stay away, where that was said, ``call_seconds``
    how long a call takes to fail.
    """

    cause: Cause
    wait_seconds: float | None = None
    call_seconds: float = 0.0

    @property
    def step_seconds(self) -> float:
        """How long a share must last for its calls to fail again within it."""
        return min(max(self.call_seconds, STEP_SECONDS), LONGEST_STEP_SECONDS)


@dataclass(frozen=True, slots=True, kw_only=True)
class Breaker:
    """A row of ``breakers``; who has none is closed.

    ``share`` of the calls may be made. ``openings`` counts how often it opened in a row, ``generation`` names
    this opening, so that what began before it is not taken for news. At ``due_time`` it moves on.
    """

    kind: SubjectKind
    subject_id: str
    phase: Phase
    cause: Cause
    share: float
    openings: int
    generation: int
    since_time: datetime
    due_time: datetime
    step_seconds: float = STEP_SECONDS

    @property
    def subject(self) -> Subject:
        return Subject(self.kind, self.subject_id)

    @property
    def detail(self) -> str:
        """For people; the same at any time, as equal revisions give equal answers."""
        words = self.cause.words
        if self.phase is Phase.COOLING:
            return f"{words}; cools until {self.due_time:%Y-%m-%d %H:%M:%S} UTC"
        return f"{words} until {self.since_time:%Y-%m-%d %H:%M:%S} UTC; {self.share:.0%} of the calls so far"


def cooling_seconds(trouble: Trouble, openings: int) -> float:
    """How long to stay away, the first time or a later one in a row: as was said, else doubling."""
    wait_seconds = trouble.wait_seconds
    if wait_seconds is None:
        first = _FIRST_SECONDS.get(trouble.cause, _OTHERWISE_SECONDS)
        wait_seconds = first * 2.0 ** min(openings - 1, 16)
    return min(max(wait_seconds, SHORTEST_SECONDS), LONGEST_SECONDS)


def opened(
    before: Breaker | None,
    subject: Subject,
    trouble: Trouble,
    *,
    seen: int,
    generation: int,
    now: datetime,
) -> Breaker | None:
    """The breaker after trouble, or None where it stays as it is.

    ``seen`` is the generation in which the failed calls began, 0 for a closed breaker: of many servers that
    report the same, the first opens it, and the others find that it is done. ``generation`` is a new one.
    While it cools nothing shortens it, and only a longer wait that was told prolongs it.
    """
    if before is not None and before.phase is Phase.COOLING:
        return _prolonged(before, trouble, now)
    if seen != (before.generation if before else 0):
        return None
    openings = before.openings + 1 if before else 1
    return Breaker(
        kind=subject.kind,
        subject_id=subject.subject_id,
        phase=Phase.COOLING,
        cause=trouble.cause,
        share=0.0,
        openings=openings,
        generation=generation,
        since_time=now,
        due_time=now + timedelta(seconds=cooling_seconds(trouble, openings)),
        step_seconds=trouble.step_seconds,
    )


def recovered(before: Breaker, *, seen: int, now: datetime) -> Breaker | None:
    """The breaker after a call that was made in spite of it, and went well; None where it stays as it is."""
    if before.phase is not Phase.COOLING or before.generation != seen or before.cause.is_limit:
        return None
    return _moved(before, Phase.RETURNING, STEPS[0], before.step_seconds, now)


def advanced(before: Breaker, *, now: datetime) -> Breaker | None:
    """The breaker after its due_time; None where it is closed for good.

    One step at a time, however late: nobody has seen how it did in those that were missed.
    """
    if before.phase is Phase.WATCHED or before.cause is Cause.RATE_LIMIT_RPM:
        # A limit of one's own needs no proof: the minute is over.
        return None
    following = [each for each in STEPS if each > before.share]
    if following:
        return _moved(before, Phase.RETURNING, following[0], before.step_seconds, now)
    return _moved(before, Phase.WATCHED, 1.0, WATCHED_SECONDS, now)


def _prolonged(before: Breaker, trouble: Trouble, now: datetime) -> Breaker | None:
    if trouble.wait_seconds is None:
        return None
    until = now + timedelta(seconds=cooling_seconds(trouble, 1))
    if until <= before.due_time + _SLACK:
        return None
    return replace(before, cause=trouble.cause, due_time=until)


def _moved(before: Breaker, phase: Phase, share: float, seconds: float, now: datetime) -> Breaker:
    return replace(
        before,
        phase=phase,
        share=share,
        since_time=now,
        due_time=now + timedelta(seconds=seconds),
    )


WINDOW_SECONDS = 30.0
LEAST_SHARE = 0.5
# Without a single success between them, and with some: fewer would leave a model alone that fails a tenth of
# its calls, several times an hour (tests/unit/domain/test_breaker_life.py).
_FEWEST_ALONE = 3
_FEWEST = 5
_FEWEST_RETURNING = 2


class Tally:
    """How the calls of one subject went at one server since the first that counts. Not thread-safe.

    It opens the breaker when at least half of the calls of WINDOW_SECONDS failed, and at least five did, or
    three and no call went well. Of one that is RETURNING two are enough.
    """

    __slots__ = ("_end", "_failures", "_of", "_returning", "_successes")

    def __init__(self, generation: int, phase: Phase | None, now_seconds: float) -> None:
        self._of = generation, phase
        self._returning = phase is Phase.RETURNING
        self._failures = self._successes = 0
        self._end = now_seconds + WINDOW_SECONDS

    def is_over(self, generation: int, phase: Phase | None, now_seconds: float) -> bool:
        """Whether it belongs to another phase of the breaker, or to a time that no longer counts."""
        return self._of != (generation, phase) or now_seconds > self._end

    def succeeded(self) -> None:
        self._successes += 1

    def failed(self) -> bool:
        """One more failed; whether that is enough."""
        self._failures += 1
        fewest = _FEWEST if self._successes else _FEWEST_ALONE
        if self._returning:
            fewest = _FEWEST_RETURNING
        calls = self._failures + self._successes
        return self._failures >= fewest and self._failures >= LEAST_SHARE * calls
