"""THE decision: filters a ranked table for one request and picks. Pure; no clock, no randomness, no I/O.

Route, BatchRoute, ExplainRoute and a client's replica all call :func:`decide`, so equal tables give equal
answers everywhere. Exploration by chance is a draw from the request, so it gives equal answers too.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from hashlib import blake2b
from itertools import islice
from math import inf
from typing import TYPE_CHECKING

from imrs_client import filters
from imrs_client.columns import first, positions
from imrs_client.explore import Lottery, explore
from imrs_client.limits import UNLIMITED
from imrs_client.query import COST_TIERS
from imrs_client.ranked import MEMO_SIZE, RankedTable, Reason, RemovedBy

if TYPE_CHECKING:
    from collections.abc import Iterable

    from imrs_client.filters import Report
    from imrs_client.limits import Limits
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


def decide(table: RankedTable, query: Query, limits: Limits = UNLIMITED) -> Choice:
    """Choose a model and its fallbacks. Raises NothingEligible."""
    eligible, spares = filters.unlimited(table, query), False
    if limits is not UNLIMITED:
        eligible, spares = filters.within(limits, eligible, table, query), limits.spares
    if not eligible:
        raise NothingEligible(_removed(table, query, limits))
    if spares or not _follows_from_eligible(table, query):
        return _choose(table, query, eligible, spares=spares)
    key = (eligible, query.max_fallbacks)
    found: Choice | None = table.choices.get(key)
    if found is None:
        if len(table.choices) >= MEMO_SIZE:
            table.choices.clear()
        found = table.choices[key] = _choose(table, query, eligible)
    return found


def explain(table: RankedTable, query: Query, limits: Limits = UNLIMITED) -> list[Report]:
    """What became of each candidate of the table, in its order: the first filter that removed it, or none."""
    return filters.reports(table, query, limits)


def _follows_from_eligible(table: RankedTable, query: Query) -> bool:
    """Whether the choice is the same for all requests that have these candidates left."""
    return not (
        query.previous_model_id
        or query.conversation_id
        or query.prefer_cost_tier
        or table.policy.exploration_rate
    )


def _choose(table: RankedTable, query: Query, eligible: int, *, spares: bool = False) -> Choice:
    selected, reason = _select(table, query, eligible, spares)
    lottery: Lottery = ()
    if reason is Reason.SCORE and table.policy.exploration_rate > 0:
        best = selected
        selected, lottery = explore(table, tuple(positions(eligible)), best, query.chance)
        reason = Reason.SCORE if selected == best else Reason.EXPLORE
    fallbacks = _fallbacks(table, query, eligible, selected, reason) if query.max_fallbacks else ()
    return Choice(selected, fallbacks, reason, eligible.bit_count(), lottery)


def _select(table: RankedTable, query: Query, eligible: int, spares: bool) -> tuple[int, Reason]:
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
    if table.degraded or _flat(table, eligible):
        default = _position(table, table.default_model_id, eligible)
        if default is not None:
            return default, Reason.DEFAULT
        if table.degraded:
            return first(eligible), Reason.DEFAULT
    return _best(table, query, eligible, spares), Reason.SCORE


def _flat(table: RankedTable, eligible: int) -> bool:
    """Whether nothing, no rating and no other priority, tells the candidates apart."""
    columns = table.columns
    return not eligible & columns.rated and not eligible & ~columns.prioritized_like(first(eligible))


def _position(table: RankedTable, model_id: str, eligible: int) -> int | None:
    """Where an eligible model stands; None for one that is not, and for an empty id."""
    position = table.position.get(model_id) if model_id else None
    return position if position is not None and eligible >> position & 1 else None


def _affinity(table: RankedTable, query: Query, eligible: int) -> int | None:
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


def _similar(table: RankedTable, eligible: int) -> list[int]:
    """Those within the margin of the best: no score is below the quality in it, and scores fall."""
    candidates = table.candidates
    floor = candidates[first(eligible)].quality - table.policy.similarity_margin
    found = []
    for i in positions(eligible):
        if candidates[i].score < floor:
            break
        if candidates[i].quality >= floor:
            found.append(i)
    return found


def _best(table: RankedTable, query: Query, eligible: int, spares: bool) -> int:
    """The best score; within the margin of it the preferred tier, else the cheapest of well-rated models, or
    of all of them where money is short.
    """
    best = first(eligible)
    if query.prefer_cost_tier is not None:
        similar = _similar(table, eligible)
        best = next((i for i in similar if table.candidates[i].cost_tier == query.prefer_cost_tier), best)
        if table.candidates[best].cost_tier == query.prefer_cost_tier:
            return best
    if spares:
        return min(_similar(table, eligible), key=lambda i: _cost(table, i))
    if not (table.policy.cheaper_when_similar and _comparable(table, best)):
        return best
    costs = {i: table.candidates[i].cost_usd for i in _similar(table, eligible) if _comparable(table, i)}
    known = {i: cost for i, cost in costs.items() if cost is not None}
    return min(known, key=lambda i: (known[i], i != best, i)) if best in known else best


def _cost(table: RankedTable, i: int) -> tuple[int, float, int]:
    candidate = table.candidates[i]
    known = candidate.cost_usd
    return COST_TIERS.index(candidate.cost_tier), inf if known is None else known, i


def _comparable(table: RankedTable, i: int) -> bool:
    return table.candidates[i].task_rating_count >= RATINGS_TO_COMPARE


def _fallbacks(
    table: RankedTable, query: Query, eligible: int, selected: int, reason: Reason
) -> tuple[int, ...]:
    named = table.candidates[selected].fallback_model_ids
    if named is None:
        named = table.fallback_model_ids
    wanted = query.max_fallbacks
    ranked = list(islice(positions(eligible & ~(1 << selected)), wanted))
    if named is not None:
        order = _positions(table, named)
    elif reason is Reason.PREFERENCE:
        order = [*_positions(table, table.preferred_model_ids), *ranked]
    else:
        return tuple(ranked)
    return tuple(dict.fromkeys(i for i in order if i != selected and eligible >> i & 1))[:wanted]


def _positions(table: RankedTable, model_ids: Iterable[str]) -> list[int]:
    return [table.position[each] for each in model_ids if each in table.position]


def _removed(table: RankedTable, query: Query, limits: Limits) -> dict[RemovedBy, int]:
    counts = Counter(report.removed_by for report in explain(table, query, limits))
    return {each: counts[each] for each in RemovedBy if counts[each]}
