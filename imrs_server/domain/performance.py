"""How models do in a range of time: ratings, calls, latency, and what a shadow policy would have chosen."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """One day; ``start_time`` is midnight UTC."""

    start_time: datetime
    avg_rating: float = 0.0
    rating_count: int = 0
    usage_count: int = 0
    avg_latency_ms: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Performance:
    """One model. ``agent_id`` and ``task_type`` are empty where agents or tasks were not told apart.

    ``lower`` and ``upper`` are the 95 % Wilson interval of the mean rating (Wilson 1927; for ratings
    between 0 and 1 it is wider than need be, never narrower), and ``score`` is its centre: the mean drawn
    towards 0.5 as if by 3.84 further ratings, so that one good rating does not outrank a hundred.

    ``shadow_count`` decisions were taken for which the shadow policy would have chosen this model; in
    ``shadow_agreed_count`` of these it was chosen. Only there is it known what the shadow's choice was worth:
    ``shadow_avg_rating`` is the mean over the ``shadow_rating_count`` that were rated.
    """

    model_id: str
    agent_id: str = ""
    task_type: str = ""
    avg_rating: float = 0.0
    rating_count: int = 0
    usage_count: int = 0
    avg_latency_ms: float = 0.0
    p95_latency_ms: float = 0.0
    score: float = 0.5
    lower: float = 0.0
    upper: float = 1.0
    shadow_count: int = 0
    shadow_agreed_count: int = 0
    shadow_rating_count: int = 0
    shadow_avg_rating: float = 0.0
    trend: tuple[Point, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class PerformanceFilter:
    """Which calls, votes and decisions count; a set agent or task type is also what tells rows apart."""

    task_type: str = ""
    agent_id: str = ""
    model_id: str = ""
    start_time: datetime | None = None
    end_time: datetime | None = None
