"""A line for every call."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING
from uuid import uuid4

from imrs_server.telemetry import logs
from imrs_server.telemetry.access_log import AccessLog
from imrs_server.transport.guard import unmeasured

if TYPE_CHECKING:
    import io


def test_a_call_is_told_with_who_called_and_when_it_ended(output: io.StringIO) -> None:
    tenant = uuid4()
    access_log = AccessLog()
    meter = access_log.around("/s/M", unmeasured("/s/M"))
    token = logs.call.set(logs.Call("ann", tenant))
    meter.started()
    meter.ended("NOT_FOUND", 0.0125)
    logs.call.reset(token)
    meter.ended("UNAUTHENTICATED", 0.0)
    access_log.write()
    known, unknown = map(json.loads, output.getvalue().splitlines())
    assert known["timestamp"] <= unknown["timestamp"]
    assert known["timestamp"].endswith("Z")
    told = {name: known[name] for name in ("event", "method", "code", "ms", "principal", "tenant")}
    assert told == {
        "event": "call", "method": "/s/M", "code": "NOT_FOUND", "ms": 12.5, "principal": "ann",
        "tenant": str(tenant),
    }  # fmt: skip
    assert known["call_id"]
    assert "principal" not in unknown


def test_lines_beyond_its_room_are_dropped_and_counted(output: io.StringIO) -> None:
    access_log = AccessLog(capacity=2)
    for _ in range(5):
        access_log.note("/s/M", "OK", 0.0)
    access_log.write()
    access_log.note("/s/M", "OK", 0.0)
    access_log.write()
    events = [(each["event"], each.get("lines")) for each in map(json.loads, output.getvalue().splitlines())]
    assert events == [("call", None), ("call", None), ("access_log.dropped", 3), ("call", None)]


def test_what_is_left_at_the_end_is_written(output: io.StringIO) -> None:
    access_log = AccessLog(period_seconds=3600)
    access_log.start()
    access_log.note("/s/M", "OK", 0.0)
    access_log.stop()
    assert len(output.getvalue().splitlines()) == 1
