"""Work that can wait, kept to a share of the time, so that Route does not wait for it."""

from __future__ import annotations

_MOST_SECONDS = 0.1


class Leisure:
    """A bucket of seconds that fills at ``share`` of the time that passes."""

    def __init__(self, share: float) -> None:
        self._share = share
        self._left_seconds = _MOST_SECONDS
        self._at = 0.0

    def allows(self, now: float) -> bool:
        """Whether there is time. How long it takes is not known before: what is too much is made up for."""
        gained = self._share * max(0.0, now - self._at)
        self._left_seconds = min(_MOST_SECONDS, self._left_seconds + gained)
        self._at = now
        return self._left_seconds > 0

    def spend(self, seconds: float) -> None:
        self._left_seconds -= seconds
