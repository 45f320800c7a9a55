"""What calls added up to: how many, their tokens, their money."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from typing import Final

from imrs_server.domain.errors import InvalidRequest, Violation

USUAL_RANGE: Final = timedelta(days=30)
MOST_GROUPS: Final = 10_000
"""With 400 bytes for each they fit into the 4 MiB that clients take by default."""

_DAY: Final = timedelta(days=1)


class Key(StrEnum):
    """What usage can be told apart by."""

    AGENT = "agent"
    MODEL = "model"
    PROVIDER = "provider"
    TASK_TYPE = "task_type"
    DAY = "day"


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """One group; ``group`` has an entry for each key that was asked for, days as ``2026-11-21``.

    ``cost_usd`` is of the calls whose price was known, and the others are ``unpriced_calls``.
    ``p95_latency_ms`` is known to within a step of the histogram, 9 %.
    """

    group: Mapping[Key, str] = field(default_factory=dict)
    calls: int = 0
    errors: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    cached_tokens: int = 0
    cost_usd: Decimal = Decimal(0)
    unpriced_calls: int = 0
    estimated_calls: int = 0
    avg_latency_ms: float = 0.0
    p95_latency_ms: float = 0.0

    @property
    def known_cost_usd(self) -> Decimal | None:
        """The cost; None where there were calls, and none of a known price."""
        return None if 0 < self.calls == self.unpriced_calls else self.cost_usd

    @property
    def total_tokens(self) -> int:
        return self.prompt_tokens + self.completion_tokens


@dataclass(frozen=True, slots=True, kw_only=True)
class UsageReport:
    """The groups, the dearest first and by day the days in order; and all of it in one."""

    usages: tuple[Usage, ...] = ()
    totals: Usage = Usage()


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """A range of time as it is read: whole days (UTC) that were added up, and what is left at both ends.

    Left are ``start_time`` to ``days_start`` and ``days_end`` to ``end_time``. Without an end both ends are
    None.
    """

    start_time: datetime
    end_time: datetime | None
    days_start: datetime
    days_end: datetime | None

    @property
    def first_day(self) -> date:
        return self.days_start.date()

    @property
    def last_day(self) -> date | None:
        """The day after the last."""
        return self.days_end.date() if self.days_end else None


def span(start_time: datetime | None, end_time: datetime | None, now: datetime) -> Span:
    """The range between two times in UTC; without a start the 30 days before the end, or before now.

    Raises InvalidRequest for a range that ends before it starts.
    """
    start = start_time or _before(end_time or now)
    if end_time is not None and end_time < start:
        raise InvalidRequest(Violation("end_time", "must not be before start_time"))
    midnight = _midnight(start)
    days_start = midnight if midnight == start else _after(midnight)
    if end_time is None:
        return Span(start_time=start, end_time=None, days_start=days_start, days_end=None)
    days_start = min(days_start, end_time)
    days_end = max(_midnight(end_time), days_start)
    return Span(start_time=start, end_time=end_time, days_start=days_start, days_end=days_end)


def _midnight(time: datetime) -> datetime:
    return time.replace(hour=0, minute=0, second=0, microsecond=0)


def _before(time: datetime) -> datetime:
    try:
        return time - USUAL_RANGE
    except OverflowError:
        return datetime.min.replace(tzinfo=time.tzinfo)


def _after(midnight: datetime) -> datetime:
    try:
        return midnight + _DAY
    except OverflowError:
        return datetime.max.replace(tzinfo=midnight.tzinfo)
