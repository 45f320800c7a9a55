"""``imrs serve`` as a service manager runs it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.support import patience
from tests.support.service import SECRET
from tests.support.waiting import eventually

if TYPE_CHECKING:
    from collections.abc import Iterator

    from imrs_client import ImrsClient
    from tests.conftest import Vault

START_SECONDS = 60
STOP_SECONDS = 30


def variables(database: str, vault: Vault, **changes: str) -> dict[str, str]:
    """A whole environment for a server on free ports, without what it inherits."""
    known = {
        "grpc_addr": "127.0.0.1:0",
        "http_addr": "127.0.0.1:0",
        "metrics_addr": "127.0.0.1:0",
        "database_url": database,
        "vault_addr": vault.address,
        "vault_role_id": vault.role_id,
        "vault_secret_id": vault.secret_id,
        "jwt_secrets": SECRET,
        "provider_allow": "127.0.0.0/8",
        "workers": "1",
    }
    ours = {f"IMRS_{name.upper()}": value for name, value in (known | changes).items()}
    return {name: value for name, value in os.environ.items() if not name.startswith("IMRS_")} | ours


@dataclass(frozen=True)
class Serve:
    """A run, and the file of its log."""

    process: subprocess.Popen[str]
    log: Path

    @property
    def events(self) -> list[dict[str, Any]]:
        """Every whole line of the log that is JSON, as all are once the server runs."""
        lines = self.log.read_text().rpartition("\n")[0].splitlines()
        return [json.loads(line) for line in lines if line.startswith("{")]

    def address(self, event: str) -> str:
        """Where it says to serve: server.started for gRPC, console.started, metrics.started for HTTP."""
        eventually(lambda: any(each["event"] == event for each in self.events), START_SECONDS)
        return next(str(each["address"]) for each in self.events if each["event"] == event)

    def client(self, token: str) -> ImrsClient:
        return patience.client(self.address("server.started"), token)

    def terminate(self) -> int:
        """End it as service managers do; the exit code."""
        self.process.terminate()
        return self.process.wait(STOP_SECONDS)


@contextmanager
def started(environment: dict[str, str], folder: Path) -> Iterator[Serve]:
    """A run that does not outlive the block; does not wait until it is ready."""
    path = folder / "serve.log"
    with path.open("w") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "imrs_server", "serve"],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            env=environment,
            text=True,
        )
    try:
        yield Serve(process, path)
    finally:
        try:
            if process.poll() is None:
                process.terminate()
                process.wait(STOP_SECONDS)
        finally:
            process.kill()
            process.wait()
