"""The candidates of a table turned round: for each thing that may be asked, who has it, as bits of a number.

Bit i stands for the candidate at position i, so that the first one is the lowest bit, and a filter is an AND
of a few numbers, whatever the size of the table. Standard library only.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from typing import TYPE_CHECKING, NamedTuple, Protocol

from imrs_client.explore import uniform
from imrs_client.globs import Globs, is_literal
from imrs_client.limits import UNLIMITED, Limits
from imrs_client.query import COST_TIERS

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

# The same few lists come with most requests; more are a sign of random ones.
_MEMO_SIZE = 64
# So many bits are set sooner one by one.
_FEW = 4


class Kind(NamedTuple):
    """What most filters ask of a model. Models come in few kinds, so that most work is done once for many.

    ``passes`` says that no state keeps it from serving, ``restricted`` that roles may.
    """

    passes: bool
    credentialed: bool
    restricted: bool
    model_type: str
    cost_tier: str
    capabilities: frozenset[str]
    domains: frozenset[str]


class Described(Protocol):
    """What is known of a model whatever the task: a Candidate, or less."""

    @property
    def model_id(self) -> str: ...
    @property
    def external_id(self) -> str: ...
    @property
    def kind(self) -> Kind: ...
    @property
    def context_length(self) -> int | None: ...
    @property
    def capsule_roles(self) -> frozenset[str] | None: ...
    @property
    def allowed_roles(self) -> frozenset[str]: ...
    @property
    def regions(self) -> frozenset[str]: ...
    @property
    def trains_on_data(self) -> bool | None: ...
    @property
    def retains_data(self) -> bool | None: ...


class Columns:
    """``passing`` are candidates that no state keeps from serving, ``rated`` those with a rating.

    Of what the methods are asked for they remember what recurs: two threads may make the same at once, and
    one of the two stays.
    """

    def __init__(
        self,
        models: Sequence[Described],
        *,
        priorities: Sequence[int],
        rated: Iterable[bool],
        latencies_ms: Iterable[float],
        error_rates: Iterable[float],
    ) -> None:
        """One entry a candidate, the best first; latencies and error rates below 0 are not known."""
        self.models = models
        self.size = len(models)
        self.rated = self.where(rated)
        self.passing = self.credentialed = self._restricted = 0
        self.types: dict[str, int] = {}
        self.tiers: dict[str, int] = {}
        self.capabilities: dict[str, int] = {}
        self.domains: dict[str, int] = {}
        self._group()
        self._roles = frozenset().union(*(_named_roles(models[i]) for i in positions(self._restricted)))
        self._priorities = priorities
        self._latencies_ms = latencies_ms
        self._error_rates = error_rates
        self._position: Mapping[str, int] | None = None
        self._named: Mapping[str, Sequence[int]] | None = None
        self._by_roles: dict[frozenset[str], int] = {}
        self._lengths: tuple[list[int | None], list[int]] | None = None
        self._by_length: dict[tuple[int, bool], int] = {}
        self._by_globs: dict[tuple[str, ...], int] = {}
        self._by_priority: dict[int, int] = {}
        self._limited: tuple[Limits, int, Sequence[tuple[int, str, float]]] = (UNLIMITED, 0, ())

    @property
    def position(self) -> Mapping[str, int]:
        """Where a model_id stands."""
        found = self._position
        if found is None:
            found = self._position = {each.model_id: i for i, each in enumerate(self.models)}
        return found

    def open_to(self, roles: frozenset[str]) -> int:
        """Those that neither the capsule nor their settings keep from all of the roles."""
        roles &= self._roles
        if not roles:
            return self._open
        found = self._by_roles.get(roles)
        if found is None:
            if len(self._by_roles) >= _MEMO_SIZE:
                self._by_roles.clear()
            found = self._by_roles[roles] = self.where(_is_open(each, roles) for each in self.models)
        return found

    def holding(self, tokens: int, *, told: bool) -> int:
        """Those whose context holds so many tokens; an unknown one does, unless it must be ``told``."""
        lengths, rising = self._lengths or self._measured()
        key = (bisect_left(rising, tokens), told)
        found = self._by_length.get(key)
        if found is None:
            found = self._by_length[key] = self.where(
                [not told if each is None else each >= tokens for each in lengths]
            )
        return found

    def prioritized_like(self, position: int) -> int:
        """Those with the priority of one of them."""
        priority = self._priorities[position]
        found = self._by_priority.get(priority)
        if found is None:
            found = self._by_priority[priority] = self.where([each == priority for each in self._priorities])
        return found

    def named(self, globs: tuple[str, ...]) -> int:
        """Those whose model_id or external_id a glob matches."""
        if is_literal(globs):
            names = self._names()
            return self._bits([i for name in globs for i in names.get(name, ())])
        found = self._by_globs.get(globs)
        if found is None:
            known = Globs(globs)
            if len(self._by_globs) >= _MEMO_SIZE:
                self._by_globs.clear()
            found = self._by_globs[globs] = self.where(
                known.match(each.model_id, each.external_id) for each in self.models
            )
        return found

    def within_latency(self, limit_ms: float) -> int:
        """Those not known to be slower."""
        return self.where([known <= limit_ms for known in self._latencies_ms])

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
            for i, each in enumerate(self.models)
            if each.model_id in limits.cooling
        ]
        cold = sum(bit for bit, _, share in found if share <= 0)
        return limits, cold, tuple(each for each in found if each[2] > 0)

    @property
    def _open(self) -> int:
        """Those that no role is needed for."""
        return ~self._restricted & ((1 << self.size) - 1)

    def _group(self) -> None:
        # By identity, because a kind takes long to hash; equal ones are added up.
        kinds: dict[int, tuple[Kind, list[int]]] = {}
        for i, each in enumerate(self.models):
            kind = each.kind
            known = kinds.get(id(kind))
            if known is None:
                kinds[id(kind)] = (kind, [i])
            else:
                known[1].append(i)
        for kind, found in kinds.values():
            self._add(kind, self._bits(found))

    def _add(self, kind: Kind, bits: int) -> None:
        self.passing |= bits * kind.passes
        self.credentialed |= bits * kind.credentialed
        self._restricted |= bits * kind.restricted
        _add(self.types, (kind.model_type,), bits)
        _add(self.tiers, _TIERS_FROM[kind.cost_tier], bits)
        _add(self.capabilities, kind.capabilities, bits)
        _add(self.domains, kind.domains, bits)

    def _bits(self, positions: Sequence[int]) -> int:
        if len(positions) <= _FEW:
            few = 0
            for i in positions:
                few |= 1 << i
            return few
        found = bytearray((self.size + 7) // 8)
        for i in positions:
            found[i >> 3] |= 1 << (i & 7)
        return int.from_bytes(found, "little")

    def _measured(self) -> tuple[list[int | None], list[int]]:
        lengths = [each.context_length for each in self.models]
        found = self._lengths = lengths, sorted({each for each in lengths if each is not None})
        return found

    def _names(self) -> Mapping[str, Sequence[int]]:
        if self._named is None:
            names: dict[str, list[int]] = defaultdict(list)
            for i, each in enumerate(self.models):
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


# The limits that each tier keeps.
_TIERS_FROM = {tier: COST_TIERS[i:] for i, tier in enumerate(COST_TIERS)}


def _add(groups: dict[str, int], names: Iterable[str], bits: int) -> None:
    for name in names:
        groups[name] = groups.get(name, 0) | bits


def _named_roles(candidate: Described) -> frozenset[str]:
    return candidate.allowed_roles | (candidate.capsule_roles or frozenset())


def _is_open(candidate: Described, roles: frozenset[str]) -> bool:
    capsule, allowed = candidate.capsule_roles, candidate.allowed_roles
    return (capsule is None or not capsule.isdisjoint(roles)) and (
        not allowed or not allowed.isdisjoint(roles)
    )
