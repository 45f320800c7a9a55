"""Usage, both ways."""

from __future__ import annotations

from imrs_client import v1 as pb
from imrs_server.domain.usage import Key, Usage, UsageReport
from imrs_server.transport.convert import common


def keys(request: pb.GetUsageRequest) -> tuple[Key, ...]:
    """What to tell apart, each once."""
    return tuple(dict.fromkeys(Key(each) for each in request.group_by))


def to_proto(report: UsageReport) -> pb.GetUsageResponse:
    return pb.GetUsageResponse(
        usages=[_to_usage(each) for each in report.usages], totals=_to_usage(report.totals)
    )


def _to_usage(usage: Usage) -> pb.Usage:
    return pb.Usage(
        group={str(key): value for key, value in usage.group.items()},
        calls=usage.calls,
        errors=usage.errors,
        prompt_tokens=usage.prompt_tokens,
        completion_tokens=usage.completion_tokens,
        cached_tokens=usage.cached_tokens,
        total_tokens=usage.total_tokens,
        cost_usd=common.to_decimal_text(usage.known_cost_usd),
        unpriced_calls=usage.unpriced_calls,
        estimated_calls=usage.estimated_calls,
        avg_latency_ms=usage.avg_latency_ms,
        p95_latency_ms=usage.p95_latency_ms,
    )
