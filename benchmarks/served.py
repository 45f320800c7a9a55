"""``imrs serve`` on the world of this run, as an operator starts it."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.cores import cores, pinned
from benchmarks.world import world

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from benchmarks.cores import Cores

START_SECONDS = 180
TAIL = 2000


@contextmanager
def served(
    workers: int, environment: Mapping[str, str] | None = None, on: Cores | None = None
) -> Iterator[str]:
    """The address of a server whose workers have all read the index; of the world, or in this environment.

    It has two cores where not said.
    """
    with tempfile.TemporaryDirectory(prefix="imrs-bench-") as folder:
        log = Path(folder) / "serve.log"
        command = [sys.executable, "-m", "imrs_server", "serve", "--workers", str(workers)]
        given = {**(environment or world().environment), "IMRS_LOG_LEVEL": "INFO"}
        with log.open("wb") as output, pinned(on or cores(0, 1)):
            process = subprocess.Popen(command, env=given, stdout=output, stderr=output)
        try:
            yield _address(process, log)
        finally:
            process.terminate()
            process.wait()


def _address(process: subprocess.Popen[bytes], log: Path) -> str:
    deadline = time.monotonic() + START_SECONDS
    while True:
        lines = [line for line in log.read_text(encoding="utf-8").splitlines() if line.startswith("{")]
        events = {event["event"]: event for event in map(json.loads, lines)}
        if "workers.ready" in events:
            return str(events["server.started"]["address"])
        if process.poll() is not None or time.monotonic() > deadline:
            raise TimeoutError(
                f"imrs serve did not become ready: ... {log.read_text(encoding='utf-8')[-TAIL:]}"
            )
        time.sleep(0.05)
