"""What is known about the models of one agent for one task type: the table that a decision reads.

Standard library only. The server builds tables from its index, a replica from the snapshot it is sent; both
hand them to :func:`imrs_client.decide.decide`, so they cannot disagree.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

MODEL_TYPES = ("CHAT", "EMBEDDING", "IMAGE", "AUDIO", "RERANK")
COST_TIERS = ("FREE", "LOW", "STANDARD", "PREMIUM")


class RemovedBy(StrEnum):
    """The filters, in the order in which they are asked."""

    DISABLED = "DISABLED"
    PROVIDER = "PROVIDER"
    UNAVAILABLE = "UNAVAILABLE"
    MODEL_TYPE = "MODEL_TYPE"
    CAPABILITY = "CAPABILITY"
    DOMAIN = "DOMAIN"
    CONTEXT = "CONTEXT"
    CAPSULE = "CAPSULE"
    ROLE = "ROLE"
    ALLOWED_MODELS = "ALLOWED_MODELS"
    EXCLUDED = "EXCLUDED"
    DATA_POLICY = "DATA_POLICY"
    COST_TIER = "COST_TIER"
    BUDGET = "BUDGET"
    CREDENTIALS = "CREDENTIALS"
    LATENCY = "LATENCY"
    ERROR_RATE = "ERROR_RATE"
    COOLDOWN = "COOLDOWN"


class Level(StrEnum):
    """Which evidence spoke for a candidate, the most particular first."""

    AGENT_TASK = "AGENT_TASK"
    TENANT_TASK = "TENANT_TASK"
    TASK = "TASK"
    MODEL = "MODEL"
    PRIOR = "PRIOR"


class Reason(StrEnum):
    """Why a model was selected."""

    SCORE = "SCORE"
    OVERRIDE = "OVERRIDE"
    PREFERENCE = "PREFERENCE"
    AFFINITY = "AFFINITY"
    EXPLORE = "EXPLORE"
    DEFAULT = "DEFAULT"


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """One model of the agent: what filters ask, and how its score came about.

    ``state_removal`` is set where the model is out whatever the request asks (DISABLED, PROVIDER or
    UNAVAILABLE). ``capsule_roles`` None means that the capsule allows the model to everybody, empty to
    nobody. ``cost_usd`` is a blended price per 1M tokens for comparisons, None when it is not known.
    ``rating_mean`` and ``rating_count`` are those of ``level``; ``task_rating_count`` counts what the whole
    tenant rated for this task, which is what a comparison by cost may trust. ``estimate`` is the rating to
    expect, 0 to 1, and ``deviation`` its standard error.
    """

    model_id: str
    external_id: str
    model_type: str = "CHAT"
    capabilities: frozenset[str] = frozenset()
    domains: frozenset[str] = frozenset()
    context_length: int | None = None
    priority: int = 50
    cost_tier: str = "STANDARD"
    cost_usd: float | None = None
    state_removal: tuple[RemovedBy, str] | None = None
    capsule_roles: frozenset[str] | None = None
    allowed_roles: frozenset[str] = frozenset()
    regions: frozenset[str] = frozenset()
    trains_on_data: bool | None = None
    retains_data: bool | None = None
    credentials_ok: bool = True
    latency_ms: float | None = None
    error_rate: float | None = None
    fallback_model_ids: tuple[str, ...] | None = None
    priority_term: float = 0.0
    experience_term: float = 0.0
    exploration_term: float = 0.0
    rating_mean: float | None = None
    rating_count: float = 0.0
    task_rating_count: float = 0.0
    level: Level = Level.PRIOR
    estimate: float = 0.0
    deviation: float = 0.5

    @property
    def score(self) -> float:
        return self.priority_term + self.experience_term + self.exploration_term

    @property
    def quality(self) -> float:
        """The score without the part that only exploration adds."""
        return self.priority_term + self.experience_term


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """What the merged routing policy says to a decision, beyond the scores."""

    similarity_margin: float = 0.02
    cheaper_when_similar: bool = True
    session_affinity: bool | None = None
    require_credentials: bool = False
    max_cost_tier: str | None = None
    max_latency_ms: float | None = None
    max_error_rate: float | None = None
    exploration_rate: float = 0.0


PASSES = 1 << 0
UNRESTRICTED = 1 << 1
CREDENTIALED = 1 << 2
NEVER = 1 << 3  # no candidate has it: asked for where the vocabulary lacks a word
_TIER = 4
_TYPE = 8
_WORDS = 16

# More combinations than this are a sign of random requests; the memo then starts afresh.
_MEMO_SIZE = 256


@dataclass(frozen=True, slots=True)
class Match:
    """Positions of candidates, rising and so best first. ``flat``: nothing tells them apart.

    ``choices`` is where ``decide`` remembers what it chose of them, by the number of fallbacks.
    """

    indexes: tuple[int, ...]
    flat: bool
    choices: dict[int, Any] = field(default_factory=dict, compare=False, repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class RankedTable:
    """Candidates of one agent for one task type, best first, with the bits that answer most filters at once.

    ``degraded`` marks a table in mere priority order, built where ranking failed.
    """

    revision: int
    agent_id: str
    task_type: str
    candidates: tuple[Candidate, ...]
    policy: Policy = field(default_factory=Policy)
    default_model_id: str = ""
    override_model_id: str = ""
    preferred_model_ids: tuple[str, ...] = ()
    fallback_model_ids: tuple[str, ...] | None = None
    degraded: bool = False
    words: Mapping[str, int] = field(init=False)
    bits: tuple[int, ...] = field(init=False)
    position: Mapping[str, int] = field(init=False)
    roles: frozenset[str] = field(init=False)
    context_lengths: tuple[int, ...] = field(init=False)
    _memo: dict[tuple[int, frozenset[str], int, bool], Match] = field(
        init=False, default_factory=dict, compare=False, repr=False
    )

    def __post_init__(self) -> None:
        words = _words(self.candidates)
        object.__setattr__(self, "words", words)
        object.__setattr__(self, "bits", tuple(_bits(each, words) for each in self.candidates))
        object.__setattr__(self, "position", {each.model_id: i for i, each in enumerate(self.candidates)})
        object.__setattr__(self, "roles", frozenset().union(*map(_named_roles, self.candidates)))
        lengths = {each.context_length for each in self.candidates if each.context_length is not None}
        object.__setattr__(self, "context_lengths", tuple(sorted(lengths)))

    def mask(
        self,
        model_type: str,
        capabilities: Iterable[str],
        domains: Iterable[str],
        max_cost_tier: str | None,
    ) -> int:
        """The bits that a candidate must have."""
        wanted = PASSES | 1 << (_TYPE + MODEL_TYPES.index(model_type))
        if max_cost_tier is not None:
            wanted |= 1 << (_TIER + COST_TIERS.index(max_cost_tier))
        for word in capabilities:
            wanted |= self.words.get(word, NEVER)
        for word in domains:
            wanted |= self.words.get("domain:" + word, NEVER)
        return wanted

    def matching(
        self, mask: int, *, roles: frozenset[str] = frozenset(), tokens: int = 0, told: bool = False
    ) -> Match:
        """The candidates that have all bits of a mask, are open to one of the roles and hold so many tokens.

        ``told`` leaves out those whose context length is not known. Remembered, since few combinations make
        most requests: roles that no candidate names make no difference, nor does a number of tokens between
        two context lengths that occur.
        """
        roles &= self.roles
        key = (mask, roles, bisect_left(self.context_lengths, tokens), told)
        found = self._memo.get(key)
        if found is None:
            wanted = mask if roles else mask | UNRESTRICTED
            indexes = (i for i, bits in enumerate(self.bits) if bits & wanted == wanted)
            if roles:
                indexes = (i for i in indexes if _open_to(self.candidates[i], roles))
            if tokens > 0 or told:
                indexes = (i for i in indexes if _holds(self.candidates[i], tokens, told))
            found = self.match(indexes)
            if len(self._memo) >= _MEMO_SIZE:
                self._memo.clear()
            self._memo[key] = found
        return found

    def match(self, indexes: Iterable[int]) -> Match:
        """Candidates, and whether anything (a rating, another priority) tells them apart."""
        found = tuple(indexes)
        chosen = [self.candidates[i] for i in found]
        flat = all(each.rating_count == 0 and each.priority == chosen[0].priority for each in chosen)
        return Match(found, flat)


def _named_roles(candidate: Candidate) -> frozenset[str]:
    return candidate.allowed_roles | (candidate.capsule_roles or frozenset())


def _open_to(candidate: Candidate, roles: frozenset[str]) -> bool:
    capsule, allowed = candidate.capsule_roles, candidate.allowed_roles
    return (capsule is None or not capsule.isdisjoint(roles)) and (
        not allowed or not allowed.isdisjoint(roles)
    )


def _holds(candidate: Candidate, tokens: int, told: bool) -> bool:
    known = candidate.context_length
    return not told if known is None else known >= tokens


def _words(candidates: Iterable[Candidate]) -> dict[str, int]:
    names = {name: None for each in candidates for name in sorted(each.capabilities)}
    names |= {"domain:" + name: None for each in candidates for name in sorted(each.domains)}
    return {name: 1 << (_WORDS + i) for i, name in enumerate(names)}


def _bits(candidate: Candidate, words: Mapping[str, int]) -> int:
    bits = 1 << (_TYPE + MODEL_TYPES.index(candidate.model_type))
    for tier in range(COST_TIERS.index(candidate.cost_tier), len(COST_TIERS)):
        bits |= 1 << (_TIER + tier)
    if candidate.state_removal is None and candidate.capsule_roles != frozenset():
        bits |= PASSES
    if candidate.capsule_roles is None and not candidate.allowed_roles:
        bits |= UNRESTRICTED
    if candidate.credentials_ok:
        bits |= CREDENTIALED
    for name in candidate.capabilities:
        bits |= words[name]
    for name in candidate.domains:
        bits |= words["domain:" + name]
    return bits
