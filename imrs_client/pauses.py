"""How long to wait before what failed is tried again."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


class Pauses:
    """Doubles from ``first_seconds`` up to ``longest_seconds``; each pause is a random half to whole of that.

    Without chance all clients of a server that comes back would ask it in the same moment.
    """

    def __init__(
        self,
        *,
        first_seconds: float = 0.1,
        longest_seconds: float = 5.0,
        draw: Callable[[], float] = random.random,
    ) -> None:
        self._first_seconds = first_seconds
        self._longest_seconds = longest_seconds
        self._draw = draw
        self._next_seconds = first_seconds

    def after(self, error: BaseException | None = None) -> float:
        """Seconds until the next try; at least what the server asks for where the error says so."""
        seconds = self._next_seconds * (1 + self._draw()) / 2
        self._next_seconds = min(self._next_seconds * 2, self._longest_seconds)
        asked: float | None = getattr(error, "retry_after_seconds", None)
        return max(seconds, asked or 0.0)

    def reset(self) -> None:
        """It has worked: the next pause is a short one again."""
        self._next_seconds = self._first_seconds
