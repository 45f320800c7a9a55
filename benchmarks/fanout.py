"""One change of an agent, told to a thousand watchers of it."""

from __future__ import annotations

import statistics
import subprocess
import sys
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

from benchmarks import world
from benchmarks.rows import Row
from benchmarks.served import served
from benchmarks.world import Agent
from imrs_client import ImrsClient
from imrs_client.v1 import ListAgentModelsRequest, SetModelOverrideRequest
from imrs_server.domain.principal import Role

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import IO

STREAMS = 1000
CONNECTIONS = 10
WORKERS = 2
CHANGES = 15
AGENT = Agent(4)


def measure() -> list[Row]:
    """Milliseconds from sending the change to the last watcher's hearing of it."""
    with (
        served(WORKERS) as address,
        _watchers(address) as told,
        ImrsClient(address, token=world.token(Role.TENANT_ADMIN, AGENT.tenant_id)) as admin,
    ):
        models = admin.admin.ListAgentModels(ListAgentModelsRequest(agent_id=AGENT.agent_id)).models
        taken = [_ms(admin, told, models[number % 2].model_id) for number in range(CHANGES)]
    return [
        Row(
            name="watch_fanout_ms",
            value=statistics.median(taken),
            unit="ms",
            beside=f"to the last of {STREAMS:,} streams on {CONNECTIONS} connections, read by one process",
        )
    ]


def _ms(admin: ImrsClient, told: IO[str], model_id: str) -> float:
    start = time.time()
    admin.admin.SetModelOverride(SetModelOverrideRequest(agent_id=AGENT.agent_id, model_id=model_id))
    revision = admin.last_revision
    while True:
        heard, at = told.readline().split()
        if int(heard) == revision:
            return (float(at) - start) * 1000
        # Ratings make revisions too.
        assert int(heard) < revision, f"revision {heard} came before {revision}"


@contextmanager
def _watchers(address: str) -> Iterator[IO[str]]:
    command = [sys.executable, "-m", "benchmarks.watchers", address, AGENT.token]
    command += [str(STREAMS), str(CONNECTIONS)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n", "not every watcher was told the whole"
            yield process.stdout
        finally:
            process.kill()
