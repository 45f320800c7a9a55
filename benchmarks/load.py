"""Calls as fast as a server answers them: by h2load where it is installed, else by a process of Python.

h2load sees no more than that HTTP was spoken, and an error of gRPC is spoken in good HTTP. But it counts the
bytes of messages, and a call that fails has no message. Since answers differ by some bytes, that finds no
single failure: who measures counts at the server too, how many calls were answered.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import grpc

from benchmarks.cores import pinned

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from benchmarks.cores import Cores

ROOT = Path(__file__).parent.parent
TIMEOUT_SECONDS = 120
# What stands before a message on the wire.
PREFIX_BYTES = 5
# Answers may be so much shorter than the one that is looked at: a time, and other models, take more or less.
SLACK = 0.05


class BadAnswers(Exception):
    """Calls were not answered as they must be, so that there is nothing to measure."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Calls:
    """Equal calls of one method (full name, ``/imrs.v1.RouteService/Route``), so many connections at once."""

    address: str
    method: str
    request: bytes
    token: str = ""
    count: int
    connections: int = 8
    streams: int = 4

    @property
    def metadata(self) -> tuple[tuple[str, str], ...]:
        return (("authorization", f"Bearer {self.token}"),) if self.token else ()


def generator() -> str:
    """What makes the calls here."""
    return "h2load" if shutil.which("h2load") else "a Python process"


# One before and one after each run, through a stub that raises what is not OK.
CHECKS = 2


def rate(calls: Calls, on: Cores) -> float:
    """Calls a second. Raises BadAnswers, and grpc.RpcError where a check fails."""
    usual = len(_one(calls))
    found = _by_h2load(calls, on, usual) if shutil.which("h2load") else _by_python(calls, on)
    _one(calls)
    return found


def cpu_seconds(pid: int) -> float:
    """What a process has had of all cores, to the nanosecond."""
    # The clock of a process by its id, as clock_getcpuclockid(3) makes it.
    return time.clock_gettime(~pid << 3 | 2)


def _one(calls: Calls) -> bytes:
    with grpc.insecure_channel(calls.address) as channel:
        call = channel.unary_unary(
            calls.method, request_serializer=_as_it_is, response_deserializer=_as_it_is
        )
        answer: bytes = call(calls.request, metadata=calls.metadata, timeout=TIMEOUT_SECONDS)
    return answer


def _as_it_is(message: bytes) -> bytes:
    return message


def _by_h2load(calls: Calls, on: Cores, usual: int) -> float:
    with tempfile.NamedTemporaryFile(prefix="imrs-bench-") as file:
        file.write(bytes([0]) + len(calls.request).to_bytes(4, "big") + calls.request)
        file.flush()
        headers = (("content-type", "application/grpc"), ("te", "trailers"), *calls.metadata)
        command = ["h2load", "-n", str(calls.count), "-c", str(calls.connections), "-m", str(calls.streams)]
        command += ["-d", file.name, *_each("-H", (f"{name}: {value}" for name, value in headers))]
        told = _run([*command, f"http://{calls.address}{calls.method}"], on)
    done = re.search(r"finished in .*?, ([\d.]+) req/s", told)
    succeeded = re.search(r"(\d+) succeeded", told)
    data = re.search(r"\((\d+)\) data", told)
    if not done or not succeeded or not data:
        raise BadAnswers(f"h2load said something else:\n{told}")
    enough = calls.count * (PREFIX_BYTES + usual) * (1 - SLACK)
    if int(succeeded[1]) != calls.count or int(data[1]) < enough:
        raise BadAnswers(f"not every call of {calls.method} was answered by a message:\n{told}")
    return float(done[1])


def _by_python(calls: Calls, on: Cores) -> float:
    command = [sys.executable, "-m", "benchmarks.callers", calls.address, calls.method]
    command += [calls.token, str(calls.count), str(calls.connections), str(calls.streams)]
    return calls.count / float(_run(command, on, calls.request))


def _each(option: str, values: Iterator[str]) -> list[str]:
    return [word for value in values for word in (option, value)]


def _run(command: Sequence[str], on: Cores, given: bytes = b"") -> str:
    try:
        with pinned(on):
            ended = subprocess.run(
                command, input=given, capture_output=True, check=False, timeout=TIMEOUT_SECONDS, cwd=ROOT
            )
    except subprocess.TimeoutExpired:
        raise BadAnswers(f"{command[0]} had not ended after {TIMEOUT_SECONDS} s") from None
    if ended.returncode:
        raise BadAnswers(f"{command[0]} failed:\n{ended.stderr.decode()}")
    return ended.stdout.decode()
