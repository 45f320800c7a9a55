"""Exploration by chance: now and then another model than the best, within guard rails.

Only what may well be better is tried, nothing that costs far more, and nothing that is known to be bad. The
draw is a hash of what the request is known by, so every server, a replica and a replay draw alike, and the
probabilities are told, so that the log can answer what another policy would have been worth.
"""

from __future__ import annotations

from hashlib import blake2b
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from imrs_client.ranked import Candidate, RankedTable

Lottery: TypeAlias = "tuple[tuple[int, float], ...]"
"""Positions in a table, each with the probability of being drawn."""

# Trying a model may cost this many times what the best one costs.
COST_LIMIT = 3.0
# After so many ratings for the task a model must be good for this share of what the best one is.
RATINGS_TO_KNOW = 20
QUALITY_FLOOR = 0.5
_DEAREST = "PREMIUM"


def explore(table: RankedTable, eligible: tuple[int, ...], best: int, chance: str) -> tuple[int, Lottery]:
    """The best candidate or, in ``exploration_rate`` of the draws, any that is worth trying, the best one
    included; and the probabilities of all that could have been drawn.
    """
    rate = table.policy.exploration_rate
    known = table.candidates[best]
    worth = [i for i in eligible if i == best or _worth_trying(table.candidates[i], known)]
    drawn = uniform(chance)
    # Rounding may lead one past the end.
    picked = worth[min(int(drawn / rate * len(worth)), len(worth) - 1)] if drawn < rate else best
    share = rate / len(worth)
    return picked, tuple([(i, 1 - rate + share if i == best else share) for i in worth])


def uniform(chance: str) -> float:
    """A number from 0 to below 1, always the same for the same text."""
    digest = blake2b(chance.encode(), digest_size=8).digest()
    # 53 bits are what a float holds; more could be rounded up to 1.
    return (int.from_bytes(digest) >> 11) * 2.0**-53


def _worth_trying(candidate: Candidate, best: Candidate) -> bool:
    return (
        candidate.estimate + candidate.deviation > best.estimate
        and not _known_bad(candidate, best)
        and not _too_dear(candidate, best)
    )


def _known_bad(candidate: Candidate, best: Candidate) -> bool:
    return (
        candidate.task_rating_count >= RATINGS_TO_KNOW
        and candidate.estimate - candidate.deviation < QUALITY_FLOOR * best.estimate
    )


def _too_dear(candidate: Candidate, best: Candidate) -> bool:
    if candidate.cost_tier == _DEAREST and best.cost_tier != _DEAREST:
        return True
    if best.cost_usd is None or candidate.cost_usd is None:
        return False
    return candidate.cost_usd > COST_LIMIT * best.cost_usd
