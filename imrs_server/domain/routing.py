"""The routing policy: how candidates are scored, level by level of configuration."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from datetime import timedelta
from enum import StrEnum
from operator import attrgetter
from typing import TYPE_CHECKING, Any

from imrs_server.domain.errors import InvalidRequest, Violation
from imrs_server.domain.model import CostTier

if TYPE_CHECKING:
    from collections.abc import Mapping


class Scoring(StrEnum):
    """POOLED shrinks towards what the tenant knows; SRS is the plain average."""

    POOLED = "POOLED"
    SRS = "SRS"


class Exploration(StrEnum):
    """How models with little evidence get their chance."""

    UCB = "UCB"
    OFF = "OFF"
    EPSILON = "EPSILON"


class CostPreference(StrEnum):
    """Whether a cheaper model wins among similar ones."""

    CHEAPER_WHEN_SIMILAR = "CHEAPER_WHEN_SIMILAR"
    NONE = "NONE"


@dataclass(frozen=True, slots=True, kw_only=True)
class RoutingPolicy:
    """One level's word on routing; None is "not set here"."""

    priority_weight: float | None = None
    experience_weight: float | None = None
    scoring: Scoring | None = None
    exploration: Exploration | None = None
    exploration_rate: float | None = None
    cost_preference: CostPreference | None = None
    similarity_margin: float | None = None
    half_life: timedelta | None = None
    max_cost_tier: CostTier | None = None
    session_affinity: bool | None = None
    require_credentials: bool | None = None
    max_latency_ms: int | None = None
    max_error_rate: float | None = None
    signal_ratings: dict[str, float] = field(default_factory=dict)
    feedback_weights: dict[str, float] = field(default_factory=dict)
    shadow: RoutingPolicy | None = None


_NAMES = tuple(each.name for each in fields(RoutingPolicy))
_values = attrgetter(*_NAMES)

DEFAULT_POLICY = RoutingPolicy(
    priority_weight=0.3,
    experience_weight=0.7,
    scoring=Scoring.POOLED,
    exploration=Exploration.UCB,
    cost_preference=CostPreference.CHEAPER_WHEN_SIMILAR,
    similarity_margin=0.02,
    half_life=timedelta(days=45),
    require_credentials=False,
)


def merge(*levels: RoutingPolicy) -> RoutingPolicy:
    """Merge from the weakest level to the strongest; maps key by key."""
    merged: dict[str, Any] = {}
    for level in levels:
        for name, value in zip(_NAMES, _values(level), strict=True):
            if isinstance(value, dict):
                merged[name] = {**merged.get(name, {}), **value}
            elif value is not None:
                merged[name] = value
    return RoutingPolicy(**merged)


def origins(levels: Mapping[str, RoutingPolicy]) -> dict[str, str]:
    """Which level each merged value comes from: field, or ``map.key``, to the name of the level.

    ``levels`` go from the weakest to the strongest, as in ``merge``.
    """
    found: dict[str, str] = {}
    for name, level in levels.items():
        for each in fields(RoutingPolicy):
            value = getattr(level, each.name)
            if isinstance(value, dict):
                found |= {f"{each.name}.{key}": name for key in value}
            elif value is not None:
                found[each.name] = name
    return found


def require_valid(policy: RoutingPolicy, field: str, *, of_agent: bool = False) -> None:
    """Raises InvalidRequest for what no single field shows; ``field`` is where the request has the policy."""
    if policy.shadow is not None and policy.shadow.shadow is not None:
        raise InvalidRequest(Violation(f"{field}.shadow.shadow", "must not be set: a shadow has none itself"))
    if of_agent and policy.half_life is not None:
        raise InvalidRequest(
            Violation(f"{field}.half_life", "belongs to the tenant's policy; set it with UpdateDefaults")
        )
