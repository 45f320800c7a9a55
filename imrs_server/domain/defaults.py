"""What holds where an agent does not say otherwise: once for everybody, once for each tenant."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from uuid import UUID

from imrs_client.tasks import Rules
from imrs_server.domain.parameters import UNSET, Parameters
from imrs_server.domain.routing import RoutingPolicy


class Scope(StrEnum):
    """For whom defaults hold."""

    GLOBAL = "GLOBAL"
    TENANT = "TENANT"


@dataclass(frozen=True, slots=True, kw_only=True)
class Defaults:
    """A row of ``defaults``; ``tenant_id`` is None for the scope GLOBAL."""

    scope: Scope
    tenant_id: UUID | None = None
    parameters: Parameters = UNSET
    routing: RoutingPolicy = field(default_factory=RoutingPolicy)
    default_model_id: str = ""
    task_rules: Rules = field(default_factory=Rules)
    version: int = 1
