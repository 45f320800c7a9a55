"""``imrs serve`` with two workers, and connections to each of them."""

from __future__ import annotations

from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

from pydantic import SecretStr

from imrs_client.ids import new_id
from imrs_client.v1 import GetStatusRequest
from imrs_server.domain.principal import Role
from imrs_server.settings import TokenSettings
from imrs_server.transport import tokens
from imrs_server.wiring import trust
from tests.support import patience
from tests.support.serve import Serve, started, variables
from tests.support.service import SECRET
from tests.support.waiting import eventually

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from imrs_client import ImrsClient
    from tests.conftest import Vault

TRUST = trust(TokenSettings(jwt_secrets=(SecretStr(SECRET),)))
PLATFORM = tokens.issue(TRUST, roles=[Role.PLATFORM_ADMIN], subject="ops")
TENANT_ID = new_id()
TENANT = tokens.issue(TRUST, roles=[Role.TENANT_ADMIN], subject="ann", tenant_id=TENANT_ID)
# Channels of one process share a connection unless they are told not to.
ALONE = [("grpc.use_local_subchannel_pool", 1)]
CONNECTIONS = 100


@contextmanager
def serving(database: str, vault: Vault, folder: Path, **changes: str) -> Iterator[Serve]:
    """Two workers that are ready."""
    with started(variables(database, vault, workers="2", **changes), folder) as serve:
        await_ready(serve)
        yield serve


def await_ready(serve: Serve, times: int = 1, *, after: str = "") -> None:
    """Until all workers were ready so many times, of late: since the first of an event."""

    def ready() -> bool:
        told = [each["event"] for each in serve.events]
        if after:
            told = told[told.index(after) :] if after in told else []
        return told.count("workers.ready") >= times

    eventually(ready, 90)


@contextmanager
def by_worker(serve: Serve) -> Iterator[Mapping[int, ImrsClient]]:
    """A platform admin's connection to each worker, by process id."""
    with ExitStack() as stack:
        found: dict[int, ImrsClient] = {}
        for _ in range(CONNECTIONS):
            client = stack.enter_context(connect(serve, PLATFORM))
            found.setdefault(pid_of(client), client)
            if len(found) == 2:
                break
        assert len(found) == 2, f"{CONNECTIONS} connections all led to {found}"
        yield found


def connect(serve: Serve, token: str) -> ImrsClient:
    return patience.client(serve.address("server.started"), token, options=ALONE)


def pid_of(client: ImrsClient) -> int:
    replica, *_ = client.admin.GetStatus(GetStatusRequest()).replicas
    return int(replica.replica_id.rpartition(":")[2])
