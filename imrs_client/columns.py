"""The candidates of a table turned round: for each thing that may be asked, who has it, as bits of a number.

Bit i stands for the candidate at position i, so that the first one is the lowest bit, and a filter is an AND
of a few numbers, whatever the size of the table. Standard library only.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from typing import TYPE_CHECKING

from imrs_client.explore import uniform
from imrs_client.globs import Globs, is_literal
from imrs_client.limits import UNLIMITED, Limits
from imrs_client.query import COST_TIERS

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence

    from imrs_client.ranked import Candidate

# The same few lists come with most requests; more are a sign of random ones.
_MEMO_SIZE = 64


class Columns:
    """``passing`` are candidates that no state keeps from serving, ``rated`` those with a rating.

    Of what the methods are asked for they remember what recurs: two threads may make the same at once, and
    one of the two stays.
    """

    def __init__(self, candidates: Sequence[Candidate]) -> None:
        self.size = len(candidates)
        self._candidates = candidates
        self.passing = self.where(each.state_removal is None for each in candidates)
        self.credentialed = self.where(each.credentials_ok for each in candidates)
        self.rated = self.where(each.rating_count != 0 for each in candidates)
        self.types = self._groups((each.model_type,) for each in candidates)
        self.tiers = self._groups(_tiers_from(each.cost_tier) for each in candidates)
        self.capabilities = self._groups(each.capabilities for each in candidates)
        self.domains = self._groups(each.domains for each in candidates)
        self.priorities = self._groups((each.priority,) for each in candidates)
        self._unrestricted = self.where(
            each.capsule_roles is None and not each.allowed_roles for each in candidates
        )
        self._roles = frozenset().union(*map(_named_roles, candidates))
        self._lengths = sorted(
            {each.context_length for each in candidates if each.context_length is not None}
        )
        self._latencies = [_or_none_yet(each.latency_ms) for each in candidates]
        self._error_rates = [_or_none_yet(each.error_rate) for each in candidates]
        self._named: Mapping[str, Sequence[int]] | None = None
        self._by_roles: dict[frozenset[str], int] = {}
        self._by_length: dict[tuple[int, bool], int] = {}
        self._by_globs: dict[tuple[str, ...], int] = {}
        self._limited: tuple[Limits, int, Sequence[tuple[int, str, float]]] = (UNLIMITED, 0, ())

    def open_to(self, roles: frozenset[str]) -> int:
        """Those that neither the capsule nor their settings keep from all of the roles."""
        roles &= self._roles
        if not roles:
            return self._unrestricted
        found = self._by_roles.get(roles)
        if found is None:
            if len(self._by_roles) >= _MEMO_SIZE:
                self._by_roles.clear()
            found = self._by_roles[roles] = self.where(_is_open(each, roles) for each in self._candidates)
        return found

    def holding(self, tokens: int, *, told: bool) -> int:
        """Those whose context holds so many tokens; an unknown one does, unless it must be ``told``."""
        key = (bisect_left(self._lengths, tokens), told)
        found = self._by_length.get(key)
        if found is None:
            found = self._by_length[key] = self.where(_holds(each, tokens, told) for each in self._candidates)
        return found

    def named(self, globs: tuple[str, ...]) -> int:
        """Those whose model_id or external_id a glob matches."""
        if is_literal(globs):
            names = self._names()
            return self._bits(i for name in globs for i in names.get(name, ()))
        found = self._by_globs.get(globs)
        if found is None:
            known = Globs(globs)
            if len(self._by_globs) >= _MEMO_SIZE:
                self._by_globs.clear()
            found = self._by_globs[globs] = self.where(
                known.match(each.model_id, each.external_id) for each in self._candidates
            )
        return found

    def within_latency(self, limit_ms: float) -> int:
        """Those not known to be slower."""
        return self.where([known <= limit_ms for known in self._latencies])

    def within_error_rate(self, limit: float) -> int:
        """Those not known to fail more often."""
        return self.where([known <= limit for known in self._error_rates])

    def cooling(self, limits: Limits, chance: str) -> int:
        """Those that cool, but for recovering ones whose share of the requests this is: by a draw of its own
        for each of them.
        """
        known, cold, recovering = self._limited
        if known is not limits:
            known, cold, recovering = self._limited = self._cooled(limits)
        for bit, model_id, share in recovering:
            if uniform(f"{chance}\0{model_id}") >= share:
                cold |= bit
        return cold

    def where(self, tests: Iterable[bool]) -> int:
        """One test for each candidate, in their order."""
        return int("".join(["1" if each else "0" for each in tests])[::-1] or "0", 2)

    def _cooled(self, limits: Limits) -> tuple[Limits, int, Sequence[tuple[int, str, float]]]:
        found = [
            (1 << i, each.model_id, limits.cooling[each.model_id].share)
            for i, each in enumerate(self._candidates)
            if each.model_id in limits.cooling
        ]
        cold = sum(bit for bit, _, share in found if share <= 0)
        return limits, cold, tuple(each for each in found if each[2] > 0)

    def _groups(self, names: Iterable[Iterable[Hashable]]) -> Mapping[Hashable, int]:
        positions: dict[Hashable, list[int]] = defaultdict(list)
        for i, each in enumerate(names):
            for name in each:
                positions[name].append(i)
        return {name: self._bits(found) for name, found in positions.items()}

    def _bits(self, positions: Iterable[int]) -> int:
        found = bytearray((self.size + 7) // 8)
        for i in positions:
            found[i >> 3] |= 1 << (i & 7)
        return int.from_bytes(found, "little")

    def _names(self) -> Mapping[str, Sequence[int]]:
        if self._named is None:
            names: dict[str, list[int]] = defaultdict(list)
            for i, each in enumerate(self._candidates):
                names[each.model_id].append(i)
                names[each.external_id].append(i)
            self._named = dict(names)
        return self._named


def positions(bits: int) -> Iterator[int]:
    """The positions that bits stand for, rising."""
    while bits:
        lowest = bits & -bits
        yield lowest.bit_length() - 1
        bits ^= lowest


def first(bits: int) -> int:
    """The lowest position of some."""
    return (bits & -bits).bit_length() - 1


def _tiers_from(tier: str) -> tuple[str, ...]:
    """The limits that a tier keeps."""
    return COST_TIERS[COST_TIERS.index(tier) :]


def _or_none_yet(value: float | None) -> float:
    # What is not known passes every limit.
    return -1.0 if value is None else value


def _named_roles(candidate: Candidate) -> frozenset[str]:
    return candidate.allowed_roles | (candidate.capsule_roles or frozenset())


def _is_open(candidate: Candidate, roles: frozenset[str]) -> bool:
    capsule, allowed = candidate.capsule_roles, candidate.allowed_roles
    return (capsule is None or not capsule.isdisjoint(roles)) and (
        not allowed or not allowed.isdisjoint(roles)
    )


def _holds(candidate: Candidate, tokens: int, told: bool) -> bool:
    known = candidate.context_length
    return not told if known is None else known >= tokens
