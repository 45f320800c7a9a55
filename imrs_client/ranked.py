"""What is known about the models of one agent for one task type: the table that a decision reads.

Standard library only. The server builds tables from its index, a replica from the snapshot it is sent; both
hand them to :func:`imrs_client.decide.decide`, so they cannot disagree.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import InitVar, dataclass, field
from enum import StrEnum
from typing import Any

from imrs_client.columns import Columns, Kind

MODEL_TYPES = ("CHAT", "EMBEDDING", "IMAGE", "AUDIO", "RERANK")


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
    def kind(self) -> Kind:
        """What it has in common with others, as far as filters ask."""
        return Kind(
            passes=self.state_removal is None,
            credentialed=self.credentials_ok,
            restricted=self.capsule_roles is not None or bool(self.allowed_roles),
            model_type=self.model_type,
            cost_tier=self.cost_tier,
            capabilities=self.capabilities,
            domains=self.domains,
        )

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


# More answers than this are a sign of random requests; the memo then starts afresh.
MEMO_SIZE = 256


@dataclass(frozen=True, slots=True, kw_only=True)
class RankedTable:
    """Candidates of one agent for one task type, best first.

    ``degraded`` marks a table in mere priority order, built where ranking failed.
    """

    revision: int
    agent_id: str
    task_type: str
    candidates: Sequence[Candidate]
    policy: Policy = field(default_factory=Policy)
    default_model_id: str = ""
    override_model_id: str = ""
    preferred_model_ids: tuple[str, ...] = ()
    fallback_model_ids: tuple[str, ...] | None = None
    degraded: bool = False
    made_columns: InitVar[Columns | None] = None
    """What filters read, where it is there before the candidates are."""
    columns: Columns = field(init=False, compare=False, repr=False)
    choices: dict[tuple[int, int], Any] = field(init=False, default_factory=dict, compare=False, repr=False)
    """Where ``decide`` remembers what it chose."""

    def __post_init__(self, made_columns: Columns | None) -> None:
        object.__setattr__(self, "columns", made_columns or _columns(self.candidates))

    @property
    def position(self) -> Mapping[str, int]:
        """Where a model stands, by its model_id."""
        return self.columns.position


def _columns(candidates: Sequence[Candidate]) -> Columns:
    return Columns(
        candidates,
        priorities=[each.priority for each in candidates],
        rated=(each.rating_count != 0 for each in candidates),
        latencies_ms=[_or_below(each.latency_ms) for each in candidates],
        error_rates=[_or_below(each.error_rate) for each in candidates],
    )


def _or_below(value: float | None) -> float:
    return -1.0 if value is None else value
