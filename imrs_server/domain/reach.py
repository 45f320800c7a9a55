"""Whether it is the providers that cannot be reached, or this server that reaches nobody."""

from __future__ import annotations

MEMORY_SECONDS = 60.0
FEWEST_PROVIDERS = 2


class Reach:
    """What connections of one server came to of late. Not thread-safe.

    A server whose own network is broken must not have all others leave every provider alone.
    """

    __slots__ = ("_missed",)

    def __init__(self) -> None:
        self._missed: dict[str, float] = {}

    def answered(self) -> None:
        """Somebody was reached, whatever they said."""
        if self._missed:
            self._missed.clear()

    def missed(self, provider_id: str, now_seconds: float) -> None:
        """A provider was not."""
        self._missed[provider_id] = now_seconds

    def is_cut_off(self, now_seconds: float) -> bool:
        """Whether several providers were missed of late, and nobody was reached since."""
        recent = [each for each in self._missed.values() if now_seconds - each <= MEMORY_SECONDS]
        return len(recent) >= FEWEST_PROVIDERS
