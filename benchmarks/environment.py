"""A server of its own for a run: ``imrs dev`` in a folder that goes away."""

from __future__ import annotations

import signal
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from imrs_server.cli.dev_environment import DATABASE
from imrs_server.embedded.postgres import Postgres

if TYPE_CHECKING:
    from collections.abc import Iterator

START_SECONDS = 120


@contextmanager
def development(*arguments: str) -> Iterator[dict[str, str]]:
    """Run ``imrs dev`` and yield what its dev.env says, with DSN (of a superuser) and PID of the server."""
    with tempfile.TemporaryDirectory(prefix="imrs-bench-") as name, started(Path(name), *arguments) as said:
        yield said


@contextmanager
def started(folder: Path, *arguments: str) -> Iterator[dict[str, str]]:
    """As ``development``, in a folder that stays."""
    command = [sys.executable, "-m", "imrs_server", "dev", "--data-dir", str(folder)]
    command += ["--port", "0", "--http-port", "0", *arguments]
    log = folder / "dev.log"
    with log.open("wb") as output:
        process = subprocess.Popen(command, stdout=output, stderr=output)
    try:
        said = _announced(folder / "dev.env", process, log)
        yield {**said, "DSN": _dsn(folder / "postgres"), "PID": str(process.pid)}
    finally:
        process.send_signal(signal.SIGINT)
        process.wait()


def _announced(file: Path, process: subprocess.Popen[bytes], log: Path) -> dict[str, str]:
    deadline = time.monotonic() + START_SECONDS
    while not file.exists():
        if process.poll() is not None or time.monotonic() > deadline:
            sys.exit(f"imrs dev did not start:\n{log.read_text()}")
        time.sleep(0.01)
    return dict(line.split("=", 1) for line in file.read_text().splitlines())


def _dsn(folder: Path) -> str:
    """PostgreSQL notes its port in the fourth line of the file."""
    port = (folder / "data" / "postmaster.pid").read_text(encoding="utf-8").splitlines()[3]
    return Postgres(folder, port=int(port)).dsn_of(DATABASE)
