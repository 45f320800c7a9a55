"""Budgets, both ways."""

from __future__ import annotations

from imrs_client import v1 as pb
from imrs_server.domain.budget import Budget, Wanted
from imrs_server.domain.errors import InvalidRequest, Violation
from imrs_server.domain.provider import etag
from imrs_server.transport.convert import common


def to_proto(budget: Budget) -> pb.Budget:
    return pb.Budget(
        budget_id=budget.budget_id,
        agent_id=budget.agent_id,
        limit_usd=None if budget.limit_usd is None else common.to_decimal_text(budget.limit_usd),
        limit_tokens=budget.limit_tokens,
        window=common.to_duration(budget.window),
        spent_usd=common.to_decimal_text(budget.spent_usd),
        spent_tokens=budget.spent_tokens,
        reserved_usd=common.to_decimal_text(budget.reserved_usd),
        reserved_tokens=budget.reserved_tokens,
        unpriced_calls=budget.unpriced_calls,
        level=common.number(pb.Budget.Level, budget.level),
        reset_time=common.to_timestamp(budget.reset_time),
        etag=etag(budget.version),
    )


def wanted(message: pb.Budget) -> Wanted:
    """Raises InvalidRequest without a window."""
    window = common.duration(message, "window")
    if window is None:
        raise InvalidRequest(Violation("budget.window", "must be set"))
    limit_usd = common.optional(message, "limit_usd")
    return Wanted(
        budget_id=message.budget_id,
        agent_id=message.agent_id,
        limit_usd=None if limit_usd is None else common.decimal(limit_usd),
        limit_tokens=common.optional(message, "limit_tokens"),
        window=window,
    )
