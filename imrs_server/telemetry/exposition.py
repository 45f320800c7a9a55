"""What the workers of a run have counted, put together for Prometheus."""

from __future__ import annotations

from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.exposition import choose_encoder
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead
from prometheus_client.registry import Collector

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
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


def bury(folder: Path, pid: int) -> None:
    """Forget how a process was that has died; what it had counted stays."""
    mark_process_dead(pid, path=str(folder))  # type: ignore[no-untyped-call]
