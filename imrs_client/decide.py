"""THE decision: filters a ranked table for one request and picks. Pure; no clock, no randomness, no I/O.

Route, BatchRoute, ExplainRoute and a client's replica all call :func:`decide`, so equal tables give equal
answers everywhere. Exploration by chance is a draw from the request, so it gives equal answers too.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from dataclasses import dataclass
from hashlib import blake2b
from typing import TYPE_CHECKING

from imrs_client import filters
from imrs_client.explore import Lottery, explore
from imrs_client.ranked import CREDENTIALED, Match, RankedTable, Reason, RemovedBy

if TYPE_CHECKING:
    from collections.abc import Iterable

    from imrs_client.filters import Report
    from imrs_client.query import Query

# Fewer ratings than this say too little to prefer the cheaper of two models by them: measured
# (docs/learning.md), a third of it keeps cheap models by luck and costs one to three points of quality.
RATINGS_TO_COMPARE = 30


@dataclass(frozen=True, slots=True)
class Choice:
    """Positions in the table: the selected candidate and its fallbacks in order.

    ``lottery`` has the probabilities of all that chance could have led to, and is empty where nothing was
    left to it.
    """

    selected: int
    fallbacks: tuple[int, ...]
    reason: Reason
    eligible: int
    lottery: Lottery = ()

    @property
    def propensity(self) -> float | None:
        """The probability of what was selected; None where nothing was left to chance."""
        return dict(self.lottery).get(self.selected)


class NothingEligible(Exception):
    """No candidate passes the filters."""

    def __init__(self, removed: dict[RemovedBy, int]) -> None:
        self.removed = removed
        super().__init__(", ".join(f"{name}: {n}" for name, n in removed.items()) or "no models enabled")


def decide(table: RankedTable, query: Query) -> Choice:
    """Choose a model and its fallbacks. Raises NothingEligible."""
    match = _eligible(table, query)
    if not match.indexes:
        raise NothingEligible(_removed(table, query))
    if not _follows_from_match(table, query):
        return _choose(table, query, match)
    found: Choice | None = match.choices.get(query.max_fallbacks)
    if found is None:
        found = match.choices[query.max_fallbacks] = _choose(table, query, match)
    return found


def explain(table: RankedTable, query: Query) -> list[Report]:
    """What became of each candidate of the table, in its order: the first filter that removed it, or none."""
    return filters.reports(table, query)


def _follows_from_match(table: RankedTable, query: Query) -> bool:
    """Whether the choice is the same for all requests that have these candidates left."""
    return not (
        query.previous_model_id
        or query.conversation_id
        or query.prefer_cost_tier
        or table.policy.exploration_rate
    )


def _choose(table: RankedTable, query: Query, match: Match) -> Choice:
    selected, reason = _select(table, query, match)
    lottery: Lottery = ()
    if reason is Reason.SCORE and table.policy.exploration_rate > 0:
        best = selected
        selected, lottery = explore(table, match.indexes, best, query.chance)
        reason = Reason.SCORE if selected == best else Reason.EXPLORE
    fallbacks = _fallbacks(table, query, match, selected, reason) if query.max_fallbacks else ()
    return Choice(selected, fallbacks, reason, len(match.indexes), lottery)


def _eligible(table: RankedTable, query: Query) -> Match:
    policy = table.policy
    tier = query.max_cost_tier
    if policy.max_cost_tier is not None:
        tier = filters.lowest(tier, policy.max_cost_tier)
    mask = table.mask(query.model_type, query.capabilities, query.domains, tier)
    if policy.require_credentials:
        mask |= CREDENTIALED
    match = table.matching(
        mask,
        roles=query.roles,
        tokens=max(query.min_context_length, query.estimated_prompt_tokens),
        told=query.min_context_length > 0,
    )
    tests = filters.beyond_mask(table, query)
    if not tests:
        return match
    return table.match(i for i in match.indexes if not any(test(table.candidates[i]) for test in tests))


def _select(table: RankedTable, query: Query, match: Match) -> tuple[int, Reason]:
    eligible = match.indexes
    pinned = _position(table, table.override_model_id, eligible)
    if pinned is not None:
        return pinned, Reason.OVERRIDE
    if not table.degraded:
        kept = _affinity(table, query, eligible)
        if kept is not None:
            return kept, Reason.AFFINITY
    for model_id in table.preferred_model_ids:
        preferred = _position(table, model_id, eligible)
        if preferred is not None:
            return preferred, Reason.PREFERENCE
    if match.flat or table.degraded:
        default = _position(table, table.default_model_id, eligible)
        if default is not None:
            return default, Reason.DEFAULT
        if table.degraded:
            return eligible[0], Reason.DEFAULT
    return _best(table, query, eligible), Reason.SCORE


def _position(table: RankedTable, model_id: str, eligible: tuple[int, ...]) -> int | None:
    """Where an eligible model stands; None for one that is not, and for an empty id."""
    position = table.position.get(model_id) if model_id else None
    return position if position is not None and _among(position, eligible) else None


def _among(position: int, eligible: tuple[int, ...]) -> bool:
    at = bisect_left(eligible, position)
    return at < len(eligible) and eligible[at] == position


def _affinity(table: RankedTable, query: Query, eligible: tuple[int, ...]) -> int | None:
    wish = table.policy.session_affinity
    if wish is False:
        return None
    previous = _position(table, query.previous_model_id, eligible)
    if previous is not None:
        return previous
    if not (wish and query.conversation_id):
        return None
    similar = _similar(table, eligible)
    return max(similar, key=lambda i: _rendezvous(query.conversation_id, table.candidates[i].model_id))


def _rendezvous(conversation_id: str, model_id: str) -> bytes:
    """Highest-random-weight hashing: when a model leaves, only its own conversations move."""
    return blake2b(f"{conversation_id}\0{model_id}".encode(), digest_size=8).digest()


def _similar(table: RankedTable, eligible: tuple[int, ...]) -> list[int]:
    floor = table.candidates[eligible[0]].quality - table.policy.similarity_margin
    return [i for i in eligible if table.candidates[i].quality >= floor]


def _best(table: RankedTable, query: Query, eligible: tuple[int, ...]) -> int:
    """The best score; within the margin of it the preferred tier, else the cheapest of well-rated models."""
    best = eligible[0]
    if query.prefer_cost_tier is not None:
        similar = _similar(table, eligible)
        best = next((i for i in similar if table.candidates[i].cost_tier == query.prefer_cost_tier), best)
        if table.candidates[best].cost_tier == query.prefer_cost_tier:
            return best
    if not (table.policy.cheaper_when_similar and _comparable(table, best)):
        return best
    costs = {i: table.candidates[i].cost_usd for i in _similar(table, eligible) if _comparable(table, i)}
    known = {i: cost for i, cost in costs.items() if cost is not None}
    return min(known, key=lambda i: (known[i], i != best, i)) if best in known else best


def _comparable(table: RankedTable, i: int) -> bool:
    return table.candidates[i].task_rating_count >= RATINGS_TO_COMPARE


def _fallbacks(
    table: RankedTable, query: Query, match: Match, selected: int, reason: Reason
) -> tuple[int, ...]:
    named = table.candidates[selected].fallback_model_ids
    if named is None:
        named = table.fallback_model_ids
    wanted = query.max_fallbacks
    ranked = [i for i in match.indexes[: wanted + 1] if i != selected][:wanted]
    if named is not None:
        order = _positions(table, named)
    elif reason is Reason.PREFERENCE:
        order = [*_positions(table, table.preferred_model_ids), *ranked]
    else:
        return tuple(ranked)
    return tuple(dict.fromkeys(i for i in order if i != selected and _among(i, match.indexes)))[:wanted]


def _positions(table: RankedTable, model_ids: Iterable[str]) -> list[int]:
    return [table.position[each] for each in model_ids if each in table.position]


def _removed(table: RankedTable, query: Query) -> dict[RemovedBy, int]:
    counts = Counter(report.removed_by for report in explain(table, query))
    return {each: counts[each] for each in RemovedBy if counts[each]}
