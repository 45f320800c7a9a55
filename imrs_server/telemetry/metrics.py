"""Figures for Prometheus.

Who serves only notes what happened; a thread folds it into the figures a few times a second. To count a call
in place would cost several microseconds of it, as every figure lies in a file that other processes read.

Import this when PROMETHEUS_MULTIPROC_DIR names the folder of these files, and not before: prometheus-client
looks once. Without a folder the figures stay in this process.
"""

from __future__ import annotations

import threading
from bisect import bisect_left
from collections import Counter as Tallied
from collections import deque
from math import nan
from typing import TYPE_CHECKING, Literal

import structlog
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

log = structlog.get_logger()

PERIOD_SECONDS = 0.25
BUCKETS_SECONDS = (
    0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0,
)  # fmt: skip

# Of several workers: the sum, or the one that is worst off. Those that have died do not count.
Of = Literal["livesum", "livemin", "livemax"]

_LABELS = ("grpc_type", "grpc_service", "grpc_method")


class _Latency(Histogram):
    def add(self, counts: Sequence[int], total: float) -> None:
        """Observe many at once: how many fell into each bucket, and their sum."""
        self._sum.inc(total)
        for bucket, count in zip(self._buckets, counts, strict=True):
            if count:
                bucket.inc(count)


class CallMeter:
    """The calls of one method. Its methods take no lock and never wait; ``fold`` is for one thread."""

    def __init__(
        self, started: Counter, handled: Counter, latency: _Latency, errors: Counter, labels: tuple[str, ...]
    ) -> None:
        self._started = started.labels(*labels)
        self._latency = latency
        self._handled = handled
        self._errors = errors
        self._labels = labels
        self._by_code: dict[str, Counter] = {}
        self._begun: deque[None] = deque()
        self._failed: deque[str] = deque()
        self._ended: deque[tuple[str, float]] = deque()
        self._handled_with("OK")

    def started(self) -> None:
        self._begun.append(None)

    def failed(self, reason: str) -> None:
        """``reason`` is that of the error, such as NO_ELIGIBLE_MODEL."""
        self._failed.append(reason)

    def ended(self, code: str, seconds: float) -> None:
        """``code`` is the status by its name, such as INVALID_ARGUMENT."""
        self._ended.append((code, seconds))

    def fold(self) -> None:
        begun, ended = len(self._begun), len(self._ended)
        if begun:
            for _ in range(begun):
                self._begun.popleft()
            self._started.inc(begun)
        for _ in range(len(self._failed)):
            self._errors.labels(*self._labels[1:], self._failed.popleft()).inc()
        if not ended:
            return
        codes: Tallied[str] = Tallied()
        counts, total = [0] * (len(BUCKETS_SECONDS) + 1), 0.0
        for _ in range(ended):
            code, seconds = self._ended.popleft()
            codes[code] += 1
            counts[bisect_left(BUCKETS_SECONDS, seconds)] += 1
            total += seconds
        # Made with the first call: most methods of most servers are never called, and it is twenty figures.
        self._latency.labels(*self._labels).add(counts, total)
        for code, count in codes.items():
            self._handled_with(code).inc(count)

    def _handled_with(self, code: str) -> Counter:
        if code not in self._by_code:
            self._by_code[code] = self._handled.labels(*self._labels, code_name(code))
        return self._by_code[code]


class Metrics:
    """All figures of one process. ``methods`` has the kind of each by its full name, such as unary."""

    def __init__(self, methods: Mapping[str, str], *, period_seconds: float = PERIOD_SECONDS) -> None:
        self.registry = CollectorRegistry()
        self._period_seconds = period_seconds
        self._folds: list[Callable[[], None]] = []
        self._failing: set[Callable[[], None]] = set()
        self._stopping = threading.Event()
        self._folding = threading.Lock()
        self._thread = threading.Thread(target=self._run, name="metrics", daemon=True)
        started = Counter("grpc_server_started", "Calls that began.", _LABELS, registry=self.registry)
        handled = Counter(
            "grpc_server_handled",
            "Calls that ended, by their status.",
            (*_LABELS, "grpc_code"),
            registry=self.registry,
        )
        latency = _Latency(
            "grpc_server_handling_seconds",
            "Time from when a call had a thread until its answer was ready.",
            _LABELS,
            buckets=BUCKETS_SECONDS,
            registry=self.registry,
        )
        errors = Counter(
            "imrs_errors",
            "Calls that failed, by the reason that their caller was told.",
            (*_LABELS[1:], "reason"),
            registry=self.registry,
        )
        self._meters = {
            name: CallMeter(started, handled, latency, errors, (kind, *name.strip("/").rsplit("/", 1)))
            for name, kind in methods.items()
        }
        self._folds.extend(each.fold for each in self._meters.values())

    def meter(self, method: str) -> CallMeter:
        """By full method name, ``/imrs.v1.AdminService/GetAgent``."""
        return self._meters[method]

    def add(self, fold: Callable[[], None]) -> None:
        """Have figures of the caller's own counted by the thread as well."""
        self._folds.append(fold)

    def counter(self, name: str, says: str, *labels: str) -> Counter:
        """A counter to be moved by a fold."""
        return Counter(name, says, labels, registry=self.registry)

    def histogram(self, name: str, says: str, buckets: Sequence[float], *labels: str) -> Histogram:
        """A histogram to be moved by a fold."""
        return Histogram(name, says, labels, buckets=buckets, registry=self.registry)

    def tally(self, name: str, says: str, *labels: str) -> Callable[..., None]:
        """A counter; to call what is returned, with the values of the labels, counts one and cannot fail."""
        counter = self.counter(name, says, *labels)
        noted: deque[tuple[str, ...]] = deque()

        def fold() -> None:
            for _ in range(len(noted)):
                counter.labels(*noted.popleft()).inc()

        self.add(fold)
        return lambda *values: noted.append(values)

    def total(self, name: str, says: str, read: Callable[[], float]) -> None:
        """A counter that follows a number of ours that only grows."""
        counter = Counter(name, says, registry=self.registry)
        known = 0.0

        def fold() -> None:
            nonlocal known
            now = read()
            if now > known:
                counter.inc(now - known)
                known = now

        self._folds.append(fold)

    def gauge(self, name: str, says: str, read: Callable[[], float], *, of: Of = "livesum") -> None:
        """A number that rises and falls; ``of`` says what is told of several workers."""
        gauge = Gauge(name, says, registry=self.registry, multiprocess_mode=of)
        self._folds.append(lambda: gauge.set(read()))

    def gauges(
        self, name: str, says: str, label: str, read: Callable[[], Mapping[str, float]], *, of: Of = "livesum"
    ) -> None:
        """Numbers that rise and fall, by one label; one that is not told any more is not a number."""
        gauge = Gauge(name, says, [label], registry=self.registry, multiprocess_mode=of)
        told: set[str] = set()

        def fold() -> None:
            now = read()
            for value, number in now.items():
                gauge.labels(value).set(number)
            for value in told.difference(now):
                gauge.labels(value).set(nan)
            told.update(now)

        self._folds.append(fold)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """End the thread; what was noted until now is counted."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join()
        self.fold()

    def fold(self) -> None:
        """Count what was noted. Never raises: a figure that fails must not cost the others, or a call.

        What goes on failing, several times a second, is told once.
        """
        with self._folding:
            for each in self._folds:
                try:
                    each()
                except Exception:
                    if each not in self._failing:
                        self._failing.add(each)
                        log.exception("metrics.failed")
                else:
                    self._failing.discard(each)

    def _run(self) -> None:
        while not self._stopping.wait(self._period_seconds):
            self.fold()


def code_name(code: str) -> str:
    """A status as other servers' figures name it: InvalidArgument for INVALID_ARGUMENT."""
    if code in {"OK", "CANCELLED"}:
        return "OK" if code == "OK" else "Canceled"
    return code.title().replace("_", "")
