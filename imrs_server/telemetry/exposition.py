"""What the workers of a run have counted, put together for Prometheus."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Any

from prometheus_client import CollectorRegistry
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.exposition import choose_encoder
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead
from prometheus_client.registry import Collector

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from datetime import datetime
    from pathlib import Path

    from prometheus_client.metrics_core import Metric


class _Given(Collector):
    """Numbers of the caller, by name."""

    def __init__(self, gauges: Mapping[str, tuple[str, float]]) -> None:
        self._gauges = gauges

    def collect(self) -> Iterator[Metric]:
        for name, (says, value) in self._gauges.items():
            yield GaugeMetricFamily(name, says, value)


def render(folder: Path, accept: str, gauges: Mapping[str, tuple[str, float]]) -> tuple[bytes, str]:
    """The figures in ``folder`` and ``gauges`` (name -> what it says, value), and their content type.

    ``accept`` is the header of that name.
    """
    registry = CollectorRegistry()
    MultiProcessCollector(registry, path=str(folder))  # type: ignore[no-untyped-call]
    registry.register(_Given(gauges))
    encode, content_type = choose_encoder(accept)
    return encode(registry), content_type


def tokens(folder: Path, now: datetime) -> dict[str, Any]:
    """Tokens, cost in USD and latency by agent since the start, as JSON: {per_agent, totals, timestamp}."""
    registry = CollectorRegistry()
    MultiProcessCollector(registry, path=str(folder))  # type: ignore[no-untyped-call]
    found: defaultdict[str, dict[str, float]] = defaultdict(dict)
    for family in registry.collect():
        for sample in family.samples:
            field = _FIELDS.get((sample.name, sample.labels.get("type", "")))
            if field:
                found[sample.labels["agent"]][field] = sample.value
    per_agent = {agent: _summary(**fields) for agent, fields in sorted(found.items())}
    every = per_agent.values()
    return {
        "per_agent": per_agent,
        "totals": {
            "total_tokens": sum(each["total_tokens"] for each in every),
            "total_cost": round(sum(each["total_cost"] for each in every), _USD_DIGITS),
            "total_calls": sum(each["call_count"] for each in every),
        },
        "timestamp": now.isoformat(),
    }


_FIELDS = {
    ("llm_tokens_total", "prompt"): "prompt",
    ("llm_tokens_total", "completion"): "completion",
    ("llm_cost_usd_total", ""): "cost",
    ("llm_unpriced_calls_total", ""): "unpriced",
    ("llm_latency_seconds_count", ""): "calls",
    ("llm_latency_seconds_sum", ""): "seconds",
}
_USD_DIGITS = 9


def _summary(
    *,
    prompt: float = 0,
    completion: float = 0,
    cost: float = 0,
    unpriced: float = 0,
    calls: float = 0,
    seconds: float = 0,
) -> dict[str, Any]:
    tokens, each = prompt + completion, max(calls, 1)
    return {
        "prompt_tokens": int(prompt),
        "completion_tokens": int(completion),
        "total_tokens": int(tokens),
        "total_cost": round(cost, _USD_DIGITS),
        "call_count": int(calls),
        "unpriced_calls": int(unpriced),
        "total_latency": round(seconds, 3),
        "avg_tokens_per_call": round(tokens / each, 2),
        "avg_cost_per_call": round(cost / each, _USD_DIGITS),
        "avg_latency_seconds": round(seconds / each, 3),
    }


def bury(folder: Path, pid: int) -> None:
    """Forget how a process was that has died; what it had counted stays."""
    mark_process_dead(pid, path=str(folder))  # type: ignore[no-untyped-call]
