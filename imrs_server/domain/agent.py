"""An agent, and the models it may use."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any
from uuid import UUID

from imrs_client.ranked import RemovedBy
from imrs_server.domain.model import CostTier, ModelFilter
from imrs_server.domain.parameters import UNSET, Parameters
from imrs_server.domain.provider import State
from imrs_server.domain.routing import RoutingPolicy


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelOverride:
    """A pin: while it stands, this agent uses this model."""

    model_id: str
    set_by: str = ""
    set_time: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Agent:
    """A row of ``agents``. ``fallback_model_ids`` None means ranked fallbacks, empty means none."""

    agent_id: str
    tenant_id: UUID
    display_name: str = ""
    agent_class: str = ""
    use_case: str = ""
    tags: tuple[str, ...] = ()
    labels: dict[str, str] = field(default_factory=dict)
    metadata: dict[str, Any] = field(default_factory=dict)
    capsule: dict[str, Any] | None = None
    default_model_id: str = ""
    parameters: Parameters = UNSET
    routing: RoutingPolicy = field(default_factory=RoutingPolicy)
    override: ModelOverride | None = None
    fallback_model_ids: tuple[str, ...] | None = None
    state: State = State.ACTIVE
    create_time: datetime | None = None
    update_time: datetime | None = None
    delete_time: datetime | None = None
    version: int = 1


class Source(StrEnum):
    """How a model came to an agent: named by an admin, or caught by a standing rule."""

    EXPLICIT = "EXPLICIT"
    RULE = "RULE"


@dataclass(frozen=True, slots=True, kw_only=True)
class Effect:
    """What Route makes of a model for an ordinary request now.

    ``value_sources`` tells for each field (``parameters.temperature``) the level that its value comes from.
    """

    eligible: bool
    removed_by: RemovedBy | None = None
    detail: str = ""
    value_sources: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentModel:
    """A row of ``agent_models`` with what the catalogue adds for display."""

    agent_id: str
    model_id: str
    display_name: str = ""
    provider_id: str = ""
    cost_tier: CostTier = CostTier.STANDARD
    enabled: bool = True
    priority_override: int | None = None
    effective_priority: int = 0
    parameters: Parameters = UNSET
    context_length: int | None = None
    input_price_usd: Decimal | None = None
    output_price_usd: Decimal | None = None
    fallback_model_ids: tuple[str, ...] | None = None
    allowed_roles: tuple[str, ...] = ()
    metadata: dict[str, Any] = field(default_factory=dict)
    enabled_by: str = ""
    enabled_time: datetime | None = None
    source: Source = Source.EXPLICIT
    rule_id: UUID | None = None
    effect: Effect | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentRule:
    """A standing rule: every model that matches the filter, now or later, is enabled.

    ``rule_id`` is None while the rule is not stored.
    """

    rule_id: UUID | None = None
    agent_id: str
    filter: ModelFilter
    priority_override: int | None = None
    created_by: str = ""
    create_time: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Enabled:
    """What enabling came to: ``count`` is exact, ``model_ids`` are the first 1,000 in order."""

    count: int
    model_ids: tuple[str, ...]
    rule: AgentRule | None = None
