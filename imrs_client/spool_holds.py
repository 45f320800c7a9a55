"""Votes that failed: how long each waits, and whether it is the vote that the service fails at."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, field
from typing import Final

from imrs_client.pauses import Pauses

TRIES: Final = 12
"""So often, in two to three minutes, the service fails at a vote before it is set aside."""

_LONGEST_SECONDS: Final = 300.0


@dataclass(slots=True)
class _Hold:
    """Votes on a message wait until ``until``, of time.monotonic; the first of them failed at ``since``.

    ``faults`` counts how often the service failed at it; ``alone`` is whether no other may go with it.
    """

    since: float
    until: float
    pauses: Pauses = field(default_factory=Pauses)
    pauses_of_faults: Pauses = field(default_factory=lambda: Pauses(longest_seconds=_LONGEST_SECONDS))
    faults: int = 0
    alone: bool = False


class Holds:
    """What is held back, by message; for one thread.

    A vote is at fault itself only where the service takes others meanwhile: of one that fails at everything
    nothing is learned, so until another vote is delivered faults do no more than lengthen the hold.
    """

    def __init__(self, tries: int) -> None:
        self._tries = tries
        self._holds: dict[str, _Hold] = {}
        self._delivered_at = -math.inf

    @property
    def next_seconds(self) -> float:
        """How long until a vote that is held back is due; infinite where there is none."""
        due = min((each.until for each in self._holds.values()), default=math.inf)
        return max(0.0, due - time.monotonic())

    def waits(self, message_id: str, now: float) -> bool:
        """Whether votes on the message are not due yet."""
        hold = self._holds.get(message_id)
        return hold is not None and hold.until > now

    def is_alone(self, message_id: str) -> bool:
        """Whether no other vote may go with one on the message."""
        hold = self._holds.get(message_id)
        return hold is not None and hold.alone

    def age_seconds(self, message_id: str) -> float:
        """How long ago the vote failed first; 0 where it has not."""
        hold = self._holds.get(message_id)
        return 0.0 if hold is None else time.monotonic() - hold.since

    def prolong(self, message_id: str) -> None:
        """The service does not take the vote yet, through no fault of either."""
        hold = self._held(message_id)
        hold.until = time.monotonic() + hold.pauses.after()

    def count_fault(self, message_id: str, *, alone: bool = False) -> bool:
        """The service failed at the vote; whether so often that it may be the vote itself."""
        hold = self._held(message_id)
        hold.alone |= alone
        hold.faults += 1
        hold.until = time.monotonic() + hold.pauses_of_faults.after()
        return hold.faults >= self._tries

    def has_taken_others(self, message_id: str) -> bool:
        """Whether the service took votes since it first failed at this one."""
        return self._delivered_at >= self._holds[message_id].since

    def note_delivery(self) -> None:
        """The service has taken votes: what failed while it took none is due, its faults are not counted."""
        before, self._delivered_at = self._delivered_at, time.monotonic()
        for hold in self._holds.values():
            if hold.faults and hold.since > before:
                hold.faults, hold.until = 0, self._delivered_at
                hold.pauses_of_faults.reset()

    def end(self, message_id: str) -> None:
        """The vote need not be sent again."""
        self._holds.pop(message_id, None)

    def _held(self, message_id: str) -> _Hold:
        now = time.monotonic()
        return self._holds.setdefault(message_id, _Hold(now, now))
