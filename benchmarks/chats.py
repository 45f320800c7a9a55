"""A server whose one agent chats with one model that needs no key, as ``imrs serve`` runs it."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import UUID

from benchmarks.cores import cores, pinned
from benchmarks.served import served
from benchmarks.world import DATABASE, server_environment, token
from imrs_client import ImrsClient
from imrs_client import v1 as pb
from imrs_server.domain.principal import Role
from imrs_server.embedded.postgres import Postgres
from imrs_server.storage import databases, migrate

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from benchmarks.cores import Cores

TENANT_ID = UUID("11111111-1111-7111-8111-111111111110")
AGENT_ID = "chats"
_LOOKS = 16
_ALONE = (("grpc.use_local_subchannel_pool", 1),)


@contextmanager
def model() -> Iterator[int]:
    """The port of a model, on the core of those who call."""
    with pinned(cores(1)):
        process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.model"], stdout=subprocess.PIPE, text=True
        )
    with process:
        try:
            assert process.stdout is not None
            yield int(process.stdout.readline())
        finally:
            process.kill()


@contextmanager
def chatting(model_port: int, workers: int, on: Cores | None = None) -> Iterator[str]:
    """The address of a server on these cores, two where not said, and on a small database of its own."""
    with tempfile.TemporaryDirectory(prefix="imrs-bench-") as folder, Postgres(Path(folder)) as postgres:
        databases.create(postgres.dsn, DATABASE)
        dsn = postgres.dsn_of(DATABASE)
        migrate.apply(dsn)
        environment: Mapping[str, str] = {
            **server_environment(dsn),
            "IMRS_PROVIDER_ALLOW": "127.0.0.0/8",
            "IMRS_METRICS_ADDR": "127.0.0.1:0",
        }
        with served(workers, environment, on) as address:
            _furnish(address, model_port)
            yield address


def agent_token() -> str:
    """The agent's."""
    return token(Role.AGENT, TENANT_ID, AGENT_ID)


def _furnish(address: str, model_port: int) -> None:
    with ImrsClient(address, token=token(Role.PLATFORM_ADMIN)) as platform:
        provider = pb.Provider(
            provider_id="near",
            provider_type=pb.Provider.Type.CUSTOM,
            dialect="vllm",
            api_base=f"http://127.0.0.1:{model_port}/v1",
        )
        platform.admin.CreateProvider(pb.CreateProviderRequest(provider=provider))
        near = pb.Model(provider_id="near", external_id="model", context_length=1_000_000)
        platform.catalog.CreateModel(pb.CreateModelRequest(model=near))
    with ImrsClient(address, token=token(Role.TENANT_ADMIN, TENANT_ID)) as tenant:
        tenant.admin.CreateAgent(pb.CreateAgentRequest(agent=pb.Agent(agent_id=AGENT_ID)))
        everything = pb.EnableAgentModelsRequest(agent_id=AGENT_ID, filter=pb.ModelFilter())
        tenant.admin.EnableAgentModels(everything)
        revision = tenant.last_revision
    for _ in range(_LOOKS):
        # Which worker a connection leads to is the system's choice; until it has heard, it is asked again.
        with ImrsClient(address, token=agent_token(), options=_ALONE) as agent:
            agent.choose(min_revision=revision, timeout_seconds=5)
