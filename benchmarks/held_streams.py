"""Answers of a model held open, each by a connection of its own: by h2load where it is installed, else by a
process of Python on a few connections, which takes some four times as much of the cores.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING
from urllib.request import urlopen

from benchmarks import chats
from benchmarks.load import PREFIX_BYTES, ROOT, TIMEOUT_SECONDS
from benchmarks.model import WORD
from imrs_client import v1 as pb

if TYPE_CHECKING:
    from collections.abc import Iterator

STREAMS = 200
PAUSE_MS = 100
# h2load reads answers to their end; so long they last.
SECONDS = 45
_START_SECONDS = 30
# One after the other, at moments that are spread over a pause: people do not know of each other.
_STEP_MS = 11
_PIECE_BYTES = PREFIX_BYTES + pb.CompleteEvent(delta=pb.CompleteEvent.Delta(content=WORD)).ByteSize()


class Starved(Exception):
    """The streams did not get the pieces that the model sent."""


@contextmanager
def holding(address: str, model_port: int) -> Iterator[list[float]]:
    """They speak in here; afterwards the list has the pieces that came a second. Raises Starved."""
    held = _by_h2load if shutil.which("h2load") else _by_python
    with held(address, model_port) as rate:
        yield rate


@contextmanager
def _by_h2load(address: str, model_port: int) -> Iterator[list[float]]:
    rate: list[float] = []
    with tempfile.NamedTemporaryFile(prefix="imrs-bench-") as file:
        request = _request(SECONDS * 1000 // PAUSE_MS).SerializeToString()
        file.write(bytes([0]) + len(request).to_bytes(PREFIX_BYTES - 1, "big") + request)
        file.flush()
        command = ["h2load", "-n", str(STREAMS), "-c", str(STREAMS), "-m", "1", "-r", "1"]
        command += [f"--rate-period={_STEP_MS}ms", "-d", file.name, "-H", "content-type: application/grpc"]
        command += ["-H", "te: trailers", "-H", f"authorization: Bearer {chats.agent_token()}"]
        command += [f"http://{address}/imrs.v1.RouteService/Complete"]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        try:
            _wait_until_all_speak(process, model_port)
            yield rate
            if _speaking(model_port) < STREAMS:
                raise Starved("an answer ended before the last call")
            rate.append(_rate(process.communicate(timeout=TIMEOUT_SECONDS)[0]))
        finally:
            process.kill()
            process.wait()


def _request(pieces: int) -> pb.CompleteRequest:
    parameters = pb.Parameters(max_output_tokens=pieces)
    parameters.extra["seed"] = PAUSE_MS
    return pb.CompleteRequest(
        messages=[pb.ChatMessage(role="user", content="Hello")],
        route=pb.RouteRequest(parameters=parameters),
        stream=True,
    )


def _wait_until_all_speak(process: subprocess.Popen[str], model_port: int) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while (speaking := _speaking(model_port)) < STREAMS:
        if process.poll() is not None or time.monotonic() > deadline:
            raise Starved(f"{speaking} of {STREAMS} answers began")
        time.sleep(0.05)


def _speaking(model_port: int) -> int:
    with urlopen(f"http://127.0.0.1:{model_port}/speaking", timeout=5) as answer:
        return int(json.load(answer)["speaking"])


def _rate(told: str) -> float:
    """Pieces a second of all streams together, from how long an answer took. Raises Starved where fewer bytes
    came than all pieces have.
    """
    data = re.search(r"\((\d+)\) data", told)
    took = re.search(r"time for request:\s+\S+\s+\S+\s+([\d.]+)s", told)
    if not data or not took:
        raise Starved(f"h2load said something else:\n{told}")
    pieces = STREAMS * SECONDS * 1000 // PAUSE_MS
    if int(data[1]) < pieces * _PIECE_BYTES:
        raise Starved(f"less than {pieces} pieces came:\n{told}")
    return pieces / float(took[1])


@contextmanager
def _by_python(address: str, _model_port: int) -> Iterator[list[float]]:
    rate: list[float] = []
    command = [sys.executable, "-m", "benchmarks.stream_callers", address, chats.agent_token(), str(STREAMS)]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT)
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        if process.stdout.readline() != "ready\n":
            raise Starved("not all of the streams began")
        yield rate
        process.stdin.close()
        rate.append(float(process.stdout.readline()))
    finally:
        process.kill()
        process.wait()
