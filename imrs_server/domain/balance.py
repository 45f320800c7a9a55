"""Spreading calls over the endpoints of a model: the power of two choices.

Two are drawn by weight, and the less loaded of the two is taken. That is nearly as even as looking at all,
and unlike that it does not send everybody to the one that looks best (Mitzenmacher, 2001).
"""

from __future__ import annotations

from bisect import bisect
from dataclasses import dataclass
from itertools import accumulate
from math import exp
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

LATENCY_SHARE = 0.3
"""How much of the mean latency the newest call is."""

FORGET_SECONDS = 30.0
"""In this time a latency loses most of its weight: who was slow must be tried again (Finagle's peak EWMA)."""

SLOWER = 2.0
SLOWER_SECONDS = 0.05
"""Of two that are equally busy, one that is so many times slower and so much is passed over."""


@dataclass(slots=True)
class Load:
    """What one process knows of an endpoint by its own calls. ``latency_seconds`` is to the first word."""

    in_flight: int = 0
    latency_seconds: float | None = None
    heard_seconds: float = 0.0

    def heard(self, latency_seconds: float, now_seconds: float) -> None:
        """A call has been answered."""
        before = self.latency_seconds
        if before is None:
            self.latency_seconds = latency_seconds
        else:
            self.latency_seconds = before + LATENCY_SHARE * (latency_seconds - before)
        self.heard_seconds = now_seconds

    def latency(self, now_seconds: float) -> float:
        """The mean, as far as it is still remembered."""
        if self.latency_seconds is None:
            return 0.0
        return self.latency_seconds * exp((self.heard_seconds - now_seconds) / FORGET_SECONDS)


def choose(
    loads: Sequence[Load], weights: Sequence[float], now_seconds: float, draw: Callable[[], float]
) -> int:
    """The position of the one to call. ``draw`` gives numbers from 0 to below 1."""
    first = _drawn(weights, draw)
    if len(weights) == 1:
        return first
    second = _drawn([*weights[:first], *weights[first + 1 :]], draw)
    second += second >= first
    one, other = loads[first].in_flight / weights[first], loads[second].in_flight / weights[second]
    if one != other:
        return first if one < other else second
    # The first one unless it is clearly slower, so that among equals each gets its share.
    slow, fast = loads[first].latency(now_seconds), loads[second].latency(now_seconds)
    return second if slow > SLOWER * fast + SLOWER_SECONDS else first


def _drawn(weights: Sequence[float], draw: Callable[[], float]) -> int:
    steps = list(accumulate(weights))
    return min(bisect(steps, draw() * steps[-1]), len(steps) - 1)
