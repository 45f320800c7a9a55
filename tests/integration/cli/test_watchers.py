"""Watchers of a server with several workers: told by each alike, and sent elsewhere when it ends."""

from __future__ import annotations

from time import monotonic
from typing import TYPE_CHECKING

import pytest

from imrs_client import ImrsClient, Unavailable
from imrs_client.ids import new_id
from imrs_client.v1 import (
    Agent,
    AgentSnapshot,
    CreateAgentRequest,
    GetStatusRequest,
    UpdateAgentRequest,
    WatchAgentRequest,
)
from tests.support.waiting import eventually
from tests.support.workers import by_worker, serving

if TYPE_CHECKING:
    from pathlib import Path

    from tests.conftest import Vault

TENANT_ID = str(new_id())
DRAIN_SECONDS = 20.0


def revision(client: ImrsClient) -> int:
    """Of the worker behind a client."""
    return client.admin.GetStatus(GetStatusRequest()).index_revision


def test_watchers_of_every_worker_are_told_and_do_not_hold_up_the_end(
    database: str, vault: Vault, tmp_path: Path
) -> None:
    with serving(database, vault, tmp_path) as serve, by_worker(serve) as clients:
        one, other = clients.values()
        one.admin.CreateAgent(CreateAgentRequest(tenant_id=TENANT_ID, agent=Agent(agent_id="a")))
        eventually(lambda: min(map(revision, (one, other))) >= one.last_revision)
        watch = WatchAgentRequest(tenant_id=TENANT_ID, agent_id="a")
        streams = [client.route.WatchAgent(watch) for client in (one, other)]
        wholes = [next(each) for each in streams]
        assert wholes[0].fingerprint == wholes[1].fingerprint
        changed = Agent(agent_id="a", agent_class="writers")
        one.admin.UpdateAgent(UpdateAgentRequest(tenant_id=TENANT_ID, agent=changed))
        for stream in streams:
            told = next(each for each in stream if each.kind == AgentSnapshot.DELTA)
            assert (told.revision, told.agent.agent_class) == (one.last_revision, "writers")
        start = monotonic()
        serve.process.terminate()
        for stream in streams:
            with pytest.raises(Unavailable) as raised:
                list(stream)
            assert raised.value.reason == "SERVER_STOPPING"
        assert serve.process.wait(30) == 0
        assert monotonic() - start < DRAIN_SECONDS
