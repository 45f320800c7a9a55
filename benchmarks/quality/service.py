"""A server in a process of its own that waits, when asked, until Route knows of everything that was said.

In use, hours lie between two ratings, and evidence is counted within a second. A benchmark that asks a
thousand times as often would measure that second; so its requests go in rounds, and between two rounds it
waits here for what the server does by itself all the time: write the decisions, count, refresh the index.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import threading
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import psycopg
from pydantic import SecretStr

from imrs_server.domain.principal import Role
from imrs_server.embedded.postgres import Postgres
from imrs_server.jobs.rollup import Rollup
from imrs_server.settings import Settings
from imrs_server.storage import migrate
from imrs_server.telemetry import logs
from imrs_server.transport import tokens
from imrs_server.wiring import App, trust

if TYPE_CHECKING:
    from collections.abc import Iterator

READY_SECONDS = 30
SETTLE_SECONDS = 30
PAUSE_SECONDS = 0.002


@dataclass(frozen=True, slots=True)
class Service:
    """A running server: its address, a platform admin's token, and a way to wait for it."""

    address: str
    token: str
    _process: subprocess.Popen[str]

    def settle(self) -> None:
        """Return when the next Route knows of every decision and rating so far."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write("settle\n")
        self._process.stdin.flush()
        if self._process.stdout.readline() != "settled\n":
            sys.exit("the server of the benchmark ended; its log is above")


@contextmanager
def started() -> Iterator[Service]:
    """A server on an empty database of its own. Its log goes to standard error."""
    command = [sys.executable, "-m", "benchmarks.quality.service"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        said = process.stdout.readline()
        if not said:
            sys.exit("the server of the benchmark did not start; its log is above")
        yield Service(**json.loads(said), _process=process)
        process.communicate()


def main() -> None:
    """Say where the server is, then settle at every line of standard input, until it ends."""
    with tempfile.TemporaryDirectory(prefix="imrs-quality-") as folder:
        postgres = Postgres(Path(folder) / "postgres", durable=False)
        with postgres:
            migrate.apply(postgres.dsn)
            settings = Settings(
                grpc_addr="127.0.0.1:0",
                database_url=SecretStr(postgres.dsn),
                # Nothing listens there: models without keys need no Vault, and Route never asks it.
                vault_addr="http://127.0.0.1:9",
                vault_role_id="none",
                vault_secret_id=SecretStr("none"),
                jwt_secrets=(SecretStr("a secret of a benchmark on loopback"),),
            )
            logs.configure(json=False, level="ERROR")
            with App(settings) as app:
                assert app.wait_ready(READY_SECONDS)
                token = tokens.issue(trust(settings), roles=[Role.PLATFORM_ADMIN], subject="benchmark")
                print(json.dumps({"address": app.address, "token": token}), flush=True)
                with psycopg.connect(postgres.dsn, autocommit=True) as connection:
                    for _ in sys.stdin:
                        _settle(app, Rollup(app.database), connection)
                        print("settled", flush=True)


def _settle(app: App, rollup: Rollup, connection: psycopg.Connection) -> None:
    pause = threading.Event()
    while not app.decisions.flush():
        pause.wait(PAUSE_SECONDS)
    while rollup.turn():
        pause.wait(PAUSE_SECONDS)
    row = connection.execute("select rev from index_revision").fetchone()
    assert row is not None
    assert app.index.wait_for(row[0], SETTLE_SECONDS)


if __name__ == "__main__":
    main()
