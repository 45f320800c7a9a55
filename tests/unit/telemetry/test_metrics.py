"""What is counted, and how it adds up."""

from __future__ import annotations

import math
import subprocess
import sys
import threading
from typing import TYPE_CHECKING

import pytest
import structlog

from imrs_server.telemetry import exposition
from imrs_server.telemetry.metrics import BUCKETS_SECONDS, Metrics, code_name
from imrs_server.transport.server import kinds
from tests.support.waiting import eventually

if TYPE_CHECKING:
    from pathlib import Path

ROUTE = "/imrs.v1.RouteService/Route"
METHODS = {ROUTE: "unary", "/imrs.v1.RouteService/StreamRoutes": "bidi_stream"}
LABELS = {"grpc_type": "unary", "grpc_service": "imrs.v1.RouteService", "grpc_method": "Route"}


@pytest.fixture
def metrics() -> Metrics:
    return Metrics(METHODS)


def value(metrics: Metrics, name: str, **labels: str) -> float | None:
    return metrics.registry.get_sample_value(name, labels)


def test_calls_are_counted_by_method_and_status(metrics: Metrics) -> None:
    meter = metrics.meter(ROUTE)
    assert value(metrics, "grpc_server_handled_total", **LABELS, grpc_code="OK") == 0
    for code in ("OK", "OK", "RESOURCE_EXHAUSTED"):
        meter.started()
        meter.ended(code, 0.001)
    meter.started()
    meter.failed("OVERLOADED")
    metrics.fold()
    method = {"grpc_service": "imrs.v1.RouteService", "grpc_method": "Route"}
    assert value(metrics, "imrs_errors_total", **method, reason="OVERLOADED") == 1
    assert value(metrics, "grpc_server_started_total", **LABELS) == 4
    assert value(metrics, "grpc_server_handled_total", **LABELS, grpc_code="OK") == 2
    assert value(metrics, "grpc_server_handled_total", **LABELS, grpc_code="ResourceExhausted") == 1


def test_every_time_falls_into_the_bucket_that_prometheus_means(metrics: Metrics) -> None:
    times = [each * factor for each in BUCKETS_SECONDS for factor in (0.99, 1.0, 1.01)] + [1000.0]
    for seconds in times:
        metrics.meter(ROUTE).ended("OK", seconds)
    metrics.fold()
    name = "grpc_server_handling_seconds"
    for bound in BUCKETS_SECONDS:
        within = sum(each <= bound for each in times)
        assert value(metrics, f"{name}_bucket", **LABELS, le=str(bound)) == within
    assert value(metrics, f"{name}_count", **LABELS) == len(times)
    assert value(metrics, f"{name}_sum", **LABELS) == pytest.approx(sum(times))


def test_nothing_is_lost_while_it_is_being_counted(metrics: Metrics) -> None:
    meter, over = metrics.meter(ROUTE), threading.Event()

    def call() -> None:
        for _ in range(5000):
            meter.started()
            meter.ended("OK", 0.1)

    def fold() -> None:
        while not over.is_set():
            metrics.fold()

    callers = [threading.Thread(target=call) for _ in range(4)]
    folding = threading.Thread(target=fold)
    for thread in (folding, *callers):
        thread.start()
    for thread in callers:
        thread.join()
    over.set()
    folding.join()
    metrics.fold()
    assert value(metrics, "grpc_server_started_total", **LABELS) == 20_000
    assert value(metrics, "grpc_server_handling_seconds_count", **LABELS) == 20_000


def test_totals_and_gauges(metrics: Metrics) -> None:
    numbers = {"total": 0.0, "gauge": 7.0, "a": 1.0}
    metrics.total("dropped", "Dropped.", lambda: numbers["total"])
    metrics.gauge("height", "Height.", lambda: numbers["gauge"])
    metrics.gauges("in_hand", "In hand.", "pool", lambda: {"a": numbers["a"]})
    metrics.fold()
    numbers |= {"total": 3.0, "gauge": 2.0}
    metrics.fold()
    metrics.fold()
    assert value(metrics, "dropped_total") == 3
    assert value(metrics, "height") == 2
    assert value(metrics, "in_hand", pool="a") == 1


def test_a_tally_counts_by_its_labels(metrics: Metrics) -> None:
    count = metrics.tally("made", "Made.", "kind", "colour")
    for kind in ("x", "x", "y"):
        count(kind, "red")
    metrics.fold()
    assert [value(metrics, "made_total", kind=kind, colour="red") for kind in ("x", "y")] == [2, 1]


def test_a_number_that_is_not_told_any_more_is_none(metrics: Metrics) -> None:
    told = {"a": 1.0, "b": 2.0}
    metrics.gauges("height", "Height.", "of", lambda: told)
    metrics.fold()
    del told["a"]
    metrics.fold()
    assert math.isnan(value(metrics, "height", of="a") or 0)
    assert value(metrics, "height", of="b") == 2


def test_a_figure_that_fails_costs_no_other(metrics: Metrics) -> None:
    divisors = [0, 0, 1, 0]
    metrics.gauge("broken", "Broken.", lambda: 1 / divisors.pop(0))
    metrics.gauge("whole", "Whole.", lambda: 1)
    with structlog.testing.capture_logs() as lines:
        metrics.fold()
        metrics.fold()
        assert [each["event"] for each in lines] == ["metrics.failed"]
        metrics.fold()
        metrics.fold()
    assert [each["event"] for each in lines] == ["metrics.failed"] * 2
    assert value(metrics, "whole") == 1


def test_a_thread_counts_by_itself_and_what_is_left_at_the_end(metrics: Metrics) -> None:
    metrics.start()
    metrics.meter(ROUTE).started()
    eventually(lambda: value(metrics, "grpc_server_started_total", **LABELS) == 1)
    metrics.meter(ROUTE).started()
    metrics.stop()
    assert value(metrics, "grpc_server_started_total", **LABELS) == 2


def test_statuses_are_named_as_in_go() -> None:
    names = [code_name(each) for each in ("OK", "CANCELLED", "INVALID_ARGUMENT", "UNIMPLEMENTED")]
    assert names == ["OK", "Canceled", "InvalidArgument", "Unimplemented"]


def test_every_method_of_the_api_has_a_kind() -> None:
    found = kinds()
    assert found[ROUTE] == "unary"
    assert found["/imrs.v1.RouteService/StreamRoutes"] == "bidi_stream"
    assert found["/imrs.v1.AdminService/SyncProvider"] == "server_stream"


_WORKER = """
import os, sys
from imrs_server.telemetry.metrics import Metrics
number, folder = int(sys.argv[1]), sys.argv[2]
metrics = Metrics({"/s/M": "unary"})
metrics.gauge("revision", "R.", lambda: number, of="livemin")
for _ in range(number):
    metrics.meter("/s/M").started()
metrics.fold()
print(os.getpid())
"""


def test_several_processes_add_up_and_the_dead_only_keep_what_they_counted(tmp_path: Path) -> None:
    pids = []
    for number in (1, 2):
        done = subprocess.run(
            [sys.executable, "-c", _WORKER, str(number), str(tmp_path)],
            env={"PROMETHEUS_MULTIPROC_DIR": str(tmp_path)},
            check=True,
            capture_output=True,
            text=True,
        )
        pids.append(int(done.stdout))

    def lines() -> set[str]:
        body, kind = exposition.render(tmp_path, "", {"imrs_workers": ("Workers.", 2)})
        assert kind.startswith("text/plain")
        return set(body.decode().splitlines())

    started = 'grpc_server_started_total{grpc_method="M",grpc_service="s",grpc_type="unary"} 3.0'
    assert {started, "revision 1.0", "imrs_workers 2.0"} <= lines()
    exposition.bury(tmp_path, pids[0])
    assert {started, "revision 2.0"} <= lines()
