"""``imrs dev`` as a person runs it: a process in a group of its own, as a terminal makes it."""

from __future__ import annotations

import itertools
import os
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

from imrs_client.v1 import GetStatusRequest
from tests.support import patience
from tests.support.processes import descendants
from tests.support.waiting import eventually

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from imrs_client import ImrsClient

START_SECONDS = 120.0
STOP_SECONDS = 60.0

_numbers = itertools.count()


class Dev:
    """A run on ``folder``, on free ports unless the options say others; its output is kept beside it.

    ``variables`` are added to an environment without any of ours.
    """

    def __init__(self, folder: Path, *options: str, **variables: str) -> None:
        self.folder = folder
        self._number = next(_numbers)
        self._stale = self._written()
        self._begin = time.monotonic()
        others = {name: value for name, value in os.environ.items() if not name.startswith("IMRS_")}
        command = [sys.executable, "-m", "imrs_server", "dev", "--data-dir", str(folder)]
        with self._path("out").open("w") as out, self._path("err").open("w") as err:
            self.process = subprocess.Popen(
                [*command, "--port", "0", "--http-port", "0", *options],
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
                env=others | variables,
                start_new_session=True,
            )

    def _path(self, kind: str) -> Path:
        return self.folder.with_name(f"{self.folder.name}.{self._number}.{kind}")

    @property
    def file(self) -> Path:
        return self.folder / "dev.env"

    @property
    def output(self) -> str:
        return self._path("out").read_text()

    @property
    def errors(self) -> str:
        return self._path("err").read_text()

    @property
    def variables(self) -> dict[str, str]:
        """What dev.env says."""
        lines = self.file.read_text().splitlines()
        return {name: value for name, _, value in (line.partition("=") for line in lines)}

    @property
    def family(self) -> set[int]:
        """The process and all that it started."""
        return {self.process.pid, *descendants(self.process.pid)}

    def await_ready(self) -> None:
        """Wait for dev.env."""
        while (written := self._written()) is None or written == self._stale:
            assert self.process.poll() is None, self.errors
            assert time.monotonic() - self._begin < START_SECONDS, self.errors
            time.sleep(0.01)

    def _written(self) -> bytes | None:
        """What dev.env has; None where it is not there: a start takes away what a killed run left."""
        try:
            return self.file.read_bytes()
        except FileNotFoundError:
            return None

    def client(self, who: str) -> ImrsClient:
        """A client with the token of PLATFORM_ADMIN, TENANT_ADMIN, AGENT or USER; to be closed."""
        known = self.variables
        return patience.client(known["IMRS_GRPC_ADDR"], known[f"IMRS_TOKEN_{who}"])

    def settled(self, client: ImrsClient) -> None:
        """Wait until Route knows of the last write of a client."""
        with self.client("PLATFORM_ADMIN") as platform:
            eventually(lambda: revision(platform) >= client.last_revision)

    def end(self) -> int:
        """Wait until it ends by itself; the exit code."""
        return self.process.wait(START_SECONDS)

    def signal(self, number: signal.Signals) -> int:
        """Send a signal to the whole group, as a terminal does; the exit code."""
        os.killpg(self.process.pid, number)
        return self.process.wait(STOP_SECONDS)


def revision(platform: ImrsClient) -> int:
    """By which the server answers."""
    return platform.admin.GetStatus(GetStatusRequest()).index_revision


@contextmanager
def running(folder: Path, *options: str, **variables: str) -> Iterator[Dev]:
    """A run that does not outlive the block."""
    dev = Dev(folder, *options, **variables)
    try:
        yield dev
    finally:
        try:
            if dev.process.poll() is None:
                dev.signal(signal.SIGINT)
        finally:
            dev.process.kill()
            dev.process.wait()
