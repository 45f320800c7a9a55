"""How a server is doing, as its operators ask."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from imrs_server.domain.breaker import Breaker
from imrs_server.domain.provider import Provider


class Health(StrEnum):
    """DEGRADED answers, and refuses or lacks something."""

    UP = "UP"
    DEGRADED = "DEGRADED"
    DOWN = "DOWN"
    OFF = "OFF"


@dataclass(frozen=True, slots=True, kw_only=True)
class Component:
    """A part that the server needs; ``latency_ms`` is how long this check took.

    ``clock_ahead`` is how far its clock is ahead of this machine's.
    """

    health: Health
    detail: str = ""
    latency_ms: int = 0
    version: str = ""
    clock_ahead: timedelta | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Replica:
    """What one server process says of itself."""

    replica_id: str
    version: str
    index_revision: int
    listener_connected: bool
    start_time: datetime
    seen_time: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Status:
    """Of the server that answers; ``index_age`` is the time since its revision was known to be the newest.

    ``others`` are the processes that were heard of a moment ago, as far as the database tells.
    """

    index_age: timedelta
    database: Component
    vault: Component
    providers: tuple[Provider, ...]
    replica: Replica
    others: tuple[Replica, ...] = ()
    breakers: tuple[Breaker, ...] = ()
    """Of models and providers that get fewer calls, those that get fewest first."""
