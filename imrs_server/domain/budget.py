"""What an agent or a tenant may spend in a window, and what a call may come to."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from typing import TYPE_CHECKING
from uuid import UUID

from imrs_server.domain.errors import BudgetExceeded
from imrs_server.domain.model import CostTier
from imrs_server.domain.pricing import cost_usd

if TYPE_CHECKING:
    from collections.abc import Iterable

    from imrs_server.domain.chat import TokenUsage
    from imrs_server.domain.message import Message
    from imrs_server.domain.pricing import Price

USUAL_OUTPUT_TOKENS = 4096
"""What an answer is taken for where neither the call nor the catalogue bounds it."""

BUSY_SECONDS = 1.0
"""When to come back where nothing but calls that run stands in the way."""


class Level(StrEnum):
    """What is left of a budget, from plenty to nothing."""

    WITHIN = "WITHIN"
    SPARING = "SPARING"
    """80 percent of the USD are spent: the cheaper of similar models is wanted."""
    SPENT = "SPENT"
    """The USD are spent: free models are left."""
    EXHAUSTED = "EXHAUSTED"
    """The tokens are spent: nothing is left."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """A row of ``budgets``; an empty agent_id is the whole tenant.

    Spent is what calls of the window ending at ``reset_time`` came to, reserved what those that run may come
    to. The cost of ``unpriced_calls`` is not known, and in nothing that is spent.
    """

    tenant_id: UUID
    budget_id: str
    agent_id: str = ""
    limit_usd: Decimal | None = None
    limit_tokens: int | None = None
    window: timedelta
    spent_usd: Decimal = Decimal(0)
    spent_tokens: int = 0
    reserved_usd: Decimal = Decimal(0)
    reserved_tokens: int = 0
    unpriced_calls: int = 0
    reset_time: datetime
    level: Level = Level.WITHIN
    version: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What SetBudget asks for. An empty budget_id is the budget of this agent and window."""

    budget_id: str = ""
    agent_id: str = ""
    limit_usd: Decimal | None = None
    limit_tokens: int | None = None
    window: timedelta


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """The most that a call may come to, as far as one can tell; ``usd`` None where the price is not known."""

    usd: Decimal | None
    tokens: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Spend:
    """What a call came to, or by how much more than it was taken for."""

    usd: Decimal
    tokens: int
    unpriced_calls: int = 0

    @property
    def is_nothing(self) -> bool:
        return not (self.usd or self.tokens or self.unpriced_calls)


NOTHING = Spend(usd=Decimal(0), tokens=0)


def came_to(price: Price, usage: TokenUsage) -> Spend:
    """What a call used, at the price of now."""
    usd = cost_usd(
        price,
        prompt_tokens=usage.prompt_tokens,
        completion_tokens=usage.completion_tokens,
        cached_tokens=usage.cached_tokens,
    )
    return Spend(
        usd=usd or Decimal(0),
        tokens=usage.prompt_tokens + usage.completion_tokens,
        unpriced_calls=int(usd is None),
    )


def estimate(price: Price, tier: CostTier | None, prompt_tokens: int, output_tokens: int) -> Estimate:
    """The prompt and the longest answer, at the price of now.

    A model of the tier FREE is taken at its word where it has no price.
    """
    usd = cost_usd(price, prompt_tokens=prompt_tokens, completion_tokens=output_tokens, cached_tokens=0)
    if usd is None and tier is CostTier.FREE:
        usd = Decimal(0)
    return Estimate(usd=usd, tokens=prompt_tokens + output_tokens)


def most_output_tokens(asked: int | None, possible: int | None) -> int:
    """The longest answer: what the call asks for at most, and what the model can write."""
    return min((each for each in (asked, possible) if each is not None), default=USUAL_OUTPUT_TOKENS)


def spend(now: Message, before: Message | None = None) -> Spend:
    """What a call came to, or what telling it anew changes."""
    if before is None:
        return Spend(
            usd=now.cost_usd or Decimal(0), tokens=now.token_count, unpriced_calls=int(not now.cost_priced)
        )
    was = spend(before)
    told_anew = spend(now)
    return Spend(
        usd=told_anew.usd - was.usd,
        tokens=told_anew.tokens - was.tokens,
        unpriced_calls=told_anew.unpriced_calls - was.unpriced_calls,
    )


def exceeded(refusing: Iterable[Budget], now: datetime, wanted: Estimate | None = None) -> BudgetExceeded:
    """What the caller hears; of several budgets that refuse, that whose window ends last.

    Without ``wanted`` nothing is left of them, whatever the call.
    """
    budget = max(refusing, key=lambda each: (each.reset_time, each.budget_id))
    limit = _over_tokens(budget, wanted) or _over_usd(budget, wanted)
    reset_seconds = max(0.0, (budget.reset_time - now).total_seconds())
    owner = f"of agent {budget.agent_id}" if budget.agent_id else "of the tenant"
    return BudgetExceeded(
        budget_id=budget.budget_id,
        agent_id=budget.agent_id,
        detail=f"{owner}: {limit.detail}",
        reset_time=shown(budget.reset_time),
        retry_after_seconds=min(BUSY_SECONDS, reset_seconds) if limit.is_busy else reset_seconds,
        **limit.metadata,
    )


def limited(limit_usd: Decimal | None, limit_tokens: int | None, level: Level) -> str:
    """The limit that a level speaks of."""
    if level is Level.EXHAUSTED or limit_usd is None:
        return f"{limit_tokens} tokens"
    return f"{_plain(limit_usd)} USD"


def shown(time: datetime) -> str:
    """A time as people and programs read it: 2026-12-01T00:00:00Z."""
    return time.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


@dataclass(frozen=True, slots=True)
class _Limit:
    """The limit that a call would pass. ``is_busy`` where calls that run hold what it needs."""

    detail: str
    metadata: dict[str, object]
    is_busy: bool


def _over_tokens(budget: Budget, wanted: Estimate | None) -> _Limit | None:
    limit, spent = budget.limit_tokens, budget.spent_tokens
    needed = wanted.tokens if wanted else 1
    if limit is None or spent + budget.reserved_tokens + needed <= limit:
        return None
    is_busy = spent + needed <= limit
    needs = f", and the call may take {needed}" if wanted else ""
    return _Limit(
        f"{spent} of {limit} tokens are spent{needs}" + _held(is_busy),
        {"limit_tokens": limit, "spent_tokens": spent, "reserved_tokens": budget.reserved_tokens},
        is_busy,
    )


def _over_usd(budget: Budget, wanted: Estimate | None) -> _Limit:
    limit, spent = budget.limit_usd, budget.spent_usd
    assert limit is not None
    is_busy, needs = False, ""
    if wanted is not None and wanted.usd is None:
        needs = ", and the price of the model is not known"
    elif wanted is not None and wanted.usd is not None:
        is_busy = spent + wanted.usd <= limit
        needs = f", and the call may cost {_plain(wanted.usd)}"
    return _Limit(
        f"{_plain(spent)} of {_plain(limit)} USD are spent{needs}" + _held(is_busy),
        {
            "limit_usd": _plain(limit),
            "spent_usd": _plain(spent),
            "reserved_usd": _plain(budget.reserved_usd),
        },
        is_busy,
    )


def _held(is_busy: bool) -> str:
    return "; calls that run hold the rest" if is_busy else ""


def _plain(amount: Decimal) -> str:
    return f"{amount.normalize():f}"
