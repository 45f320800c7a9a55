"""What a log line tells of the call in which it is written."""

from __future__ import annotations

import errno
import io
import json
import logging
import subprocess
import sys
from uuid import uuid4

import pytest
import structlog

from imrs_server.telemetry import logs, traceparent
from imrs_server.telemetry.access_log import AccessLog
from tests.support.waiting import eventually

TRACE_ID = "4bf92f3577b34da6a3ce929d0e0e4736"
TRACE = f"00-{TRACE_ID}-00f067aa0ba902b7-01"


def line(output: io.StringIO, metadata: logs.Metadata) -> dict[str, str]:
    token = logs.call.set(logs.Call("ann", tenant := uuid4(), metadata))
    structlog.get_logger().warning("something", detail="said")
    logs.call.reset(token)
    found: dict[str, str] = json.loads(output.getvalue().splitlines()[-1])
    assert (found["event"], found["principal"], found["tenant"]) == ("something", "ann", str(tenant))
    assert found["call_id"]
    return found


def test_every_line_of_a_call_names_the_call_the_request_and_the_trace(output: io.StringIO) -> None:
    found = line(output, (("x-request-id", "r-1"), ("traceparent", TRACE), ("authorization", "Bearer x")))
    assert (found["request_id"], found["trace_id"]) == ("r-1", TRACE_ID)
    assert "Bearer" not in output.getvalue()


@pytest.mark.parametrize(
    "metadata",
    [
        (),
        (("traceparent", "no trace"), ("x-request-id", "")),
        (("x-request-id", "two\nlines"),),
        (("x-request-id", "x" * 129),),
        (("x-request-id", b"bytes"), ("traceparent", TRACE.encode())),
    ],
)
def test_what_is_unfit_for_a_line_is_left_out(output: io.StringIO, metadata: logs.Metadata) -> None:
    assert not {"request_id", "trace_id"} & line(output, metadata).keys()


def test_all_lines_of_a_call_have_one_id(output: io.StringIO) -> None:
    call = logs.Call("ann", None)
    assert call.id == call.facts["call_id"] == call.id


@pytest.mark.parametrize(
    ("text", "sampled"),
    [
        (TRACE, True),
        (f"00-{TRACE_ID}-00f067aa0ba902b7-00", False),
        (f"cc-{TRACE_ID}-00f067aa0ba902b7-01-what-comes-later", True),
    ],
)
def test_traces_as_the_standard_writes_them(text: str, sampled: bool) -> None:
    found = traceparent.parse(text)
    assert found is not None
    assert (found.trace_id, found.span_id, found.sampled) == (TRACE_ID, "00f067aa0ba902b7", sampled)


@pytest.mark.parametrize(
    "text",
    [
        "",
        TRACE.upper(),
        TRACE[:-1],
        f"{TRACE}-more",
        f"ff{TRACE[2:]}",
        f"00-{'0' * 32}-00f067aa0ba902b7-01",
        f"00-{TRACE_ID}-{'0' * 16}-01",
        f"{TRACE}\n",
    ],
)
def test_traces_that_are_none(text: str) -> None:
    assert traceparent.parse(text) is None


_LIBRARY = """
import logging
from imrs_server.telemetry import logs
logs.configure(json=True, worker=3)
logging.getLogger("some.library").warning("it has %d legs", 8)
logging.getLogger("some.library").info("and more to say")
"""


def test_what_libraries_say_is_a_line_like_ours() -> None:
    done = subprocess.run([sys.executable, "-c", _LIBRARY], check=True, capture_output=True, text=True)
    [found] = [json.loads(each) for each in done.stderr.splitlines()]
    assert (found["event"], found["logger"], found["level"], found["worker"]) == (
        "it has 8 legs",
        "some.library",
        "warning",
        3,
    )


def test_whoever_handles_the_logs_of_libraries_goes_on_doing_so(output: io.StringIO) -> None:
    logging.getLogger("some.library").warning("for pytest")
    assert not output.getvalue()


class FullDisk(io.StringIO):
    """A file that takes nothing while it is ``full``."""

    full = True

    def flush(self) -> None:
        if self.full:
            raise OSError(errno.ENOSPC, "No space left on device")


def test_a_line_that_cannot_be_written_fails_nobody(output: io.StringIO) -> None:
    logs.configure(json=True, stream=(disk := FullDisk()))
    access_log = AccessLog(period_seconds=0.001)
    access_log.start()
    structlog.get_logger().warning("during")
    access_log.note("/s/M", "OK", 0.0)
    eventually(lambda: "/s/M" in disk.getvalue())
    disk.full = False
    access_log.note("/s/N", "OK", 0.0)
    eventually(lambda: "/s/N" in disk.getvalue())
    access_log.stop()
    assert output.getvalue() == ""
