"""``imrs serve --workers 2``: several processes on one port, as one server."""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import threading
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import pytest
from google.protobuf.field_mask_pb2 import FieldMask

from imrs_client.health import Health
from imrs_client.v1 import (
    Agent,
    CreateAgentRequest,
    CreateModelRequest,
    CreateProviderRequest,
    EnableAgentModelsRequest,
    GetStatusRequest,
    Model,
    Provider,
    SyncProviderRequest,
    UpdateModelRequest,
)
from tests.support import patience
from tests.support.processes import descendants, is_gone
from tests.support.provider import FakeProvider, answer
from tests.support.serve import START_SECONDS, Serve, started, variables
from tests.support.waiting import eventually
from tests.support.workers import TENANT, await_ready, by_worker, connect, pid_of, serving

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from imrs_client import ImrsClient
    from tests.conftest import Vault


BOTH_SERVE = (200, {"status": "ok", "workers": {"serving": 2, "of": 2}})


def probe(serve: Serve) -> tuple[int, Any]:
    """What /readyz says."""
    connection = http.client.HTTPConnection(serve.address("console.started"), timeout=10)
    try:
        connection.request("GET", "/readyz")
        found = connection.getresponse()
        return found.status, json.loads(found.read())
    finally:
        connection.close()


def replicas(client: ImrsClient) -> set[int]:
    """The processes that a worker knows to serve."""
    found = client.admin.GetStatus(GetStatusRequest()).replicas
    return {int(each.replica_id.rpartition(":")[2]) for each in found}


def test_connections_are_spread_and_a_change_is_known_to_all(
    database: str, vault: Vault, tmp_path: Path
) -> None:
    with serving(database, vault, tmp_path) as serve, by_worker(serve) as clients:
        eventually(lambda: probe(serve) == BOTH_SERVE)
        one, other = clients.values()
        eventually(lambda: all(replicas(each) == set(clients) for each in clients.values()))
        one.admin.CreateProvider(
            CreateProviderRequest(
                provider=Provider(
                    provider_id="p", provider_type=Provider.CUSTOM, api_base="https://p.example", api_key="k"
                )
            )
        )
        for name, priority in (("a", 40), ("b", 60)):
            model = Model(provider_id="p", external_id=name, priority=priority)
            one.catalog.CreateModel(CreateModelRequest(model=model))
        with connect(serve, TENANT) as tenant:
            tenant.admin.CreateAgent(CreateAgentRequest(agent=Agent(agent_id="x")))
            tenant.admin.EnableAgentModels(EnableAgentModelsRequest(agent_id="x", model_ids=["p/a", "p/b"]))
            revision = tenant.last_revision
        with ExitStack() as stack:
            tenants = [stack.enter_context(connect(serve, TENANT)) for _ in range(8)]

            def chosen(revision: int) -> set[str]:
                """By connections that lead to either worker, the client waiting for the revision."""
                answers = [each.choose(agent_id="x", min_revision=revision) for each in tenants]
                assert all(each.selected.credentials_ok for each in answers)
                return {each.selected.model_id for each in answers}

            assert chosen(revision) == {"p/b"}
            other.catalog.UpdateModel(
                UpdateModelRequest(
                    model=Model(model_id="p/a", priority=90), update_mask=FieldMask(paths=["priority"])
                )
            )
            assert chosen(other.last_revision) == {"p/a"}
            # Only the first worker looks at Vault; what it sees, both tell.
            vault.server.seal()
            eventually(lambda: not any(each.choose(agent_id="x").selected.credentials_ok for each in tenants))
            vault.server.unseal()
            eventually(lambda: all(each.choose(agent_id="x").selected.credentials_ok for each in tenants))
    assert serve.process.returncode == 0


def test_a_killed_worker_is_replaced_while_the_other_serves_on(
    database: str, vault: Vault, tmp_path: Path
) -> None:
    with serving(database, vault, tmp_path) as serve, by_worker(serve) as clients:
        killed, left = clients
        os.kill(killed, signal.SIGKILL)
        # Its connection finds another worker, without a refused call in between.
        assert pid_of(clients[left]) == left
        assert pid_of(clients[killed]) != killed
        died = next(each for each in eventual(serve, "worker.died"))
        assert (died["pid"], died["how"]) == (killed, "by SIGKILL")
        await_ready(serve, after="worker.died")
        eventually(lambda: probe(serve) == BOTH_SERVE)
        with by_worker(serve) as again:
            assert killed not in again
            assert left in again
        assert serve.terminate() == 0


def test_a_worker_that_hangs_is_replaced_while_the_other_serves_on(
    database: str, vault: Vault, tmp_path: Path
) -> None:
    with (
        serving(database, vault, tmp_path, worker_silence_seconds="6") as serve,
        by_worker(serve) as clients,
    ):
        stopped, left = clients
        os.kill(stopped, signal.SIGSTOP)
        eventually(lambda: probe(serve)[1]["workers"] == {"serving": 1, "of": 2})
        assert pid_of(clients[left]) == left
        await_ready(serve, after="worker.died")
        assert is_gone(stopped)
        [hung] = eventual(serve, "worker.hung")
        assert (hung["pid"], hung["state"]) == (stopped, "T (stopped)")
        assert "IMRS_WORKER_SILENCE_SECONDS" in hung["detail"]
        assert pid_of(clients[stopped]) != stopped
        assert serve.terminate() == 0


def test_a_worker_writes_where_its_threads_are_when_it_is_asked(
    database: str, vault: Vault, tmp_path: Path
) -> None:
    with serving(database, vault, tmp_path) as serve, by_worker(serve) as clients:
        asked, _ = clients
        os.kill(asked, signal.SIGUSR1)
        eventually(lambda: "in _beat" in serve.log.read_text())
        assert pid_of(clients[asked]) == asked
        assert serve.terminate() == 0


def eventual(serve: Serve, event: str) -> list[dict[str, Any]]:
    def found() -> list[dict[str, Any]]:
        return [each for each in serve.events if each["event"] == event]

    eventually(lambda: bool(found()))
    return found()


def test_sigterm_lets_the_calls_of_every_worker_end(database: str, vault: Vault, tmp_path: Path) -> None:
    released = threading.Event()
    with FakeProvider() as openrouter, serving(database, vault, tmp_path) as serve:
        whole = answer(openrouter.body)
        openrouter.script(lambda handler: (released.wait(30), whole(handler))[1])
        health = Health(serve.address("server.started"))
        with by_worker(serve) as clients:
            syncs: list[Iterator[Any]] = []
            for client in clients.values():
                provider = Provider(
                    provider_id=f"slow{len(syncs)}",
                    provider_type=Provider.OPENROUTER,
                    api_base=openrouter.url,
                    api_key="sk-or",
                )
                client.admin.CreateProvider(CreateProviderRequest(provider=provider))
                syncs.append(client.admin.SyncProvider(SyncProviderRequest(provider_id=provider.provider_id)))
                eventually(lambda: len(openrouter.requests) == len(syncs))
            serve.process.terminate()
            eventually(lambda: not health.is_serving(patience.SECONDS))
            eventually(lambda: probe(serve)[0] == 503)
            released.set()
            for sync in syncs:
                *_, last = sync
                assert last.result.models_discovered > 4000
        health.close()
        assert serve.process.wait(30) == 0


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_nothing_outlives_the_supervisor(
    database: str, vault: Vault, tmp_path: Path, number: signal.Signals
) -> None:
    with serving(database, vault, tmp_path) as serve:
        started_by_it = descendants(serve.process.pid)
        assert len(started_by_it) >= 3
        os.kill(serve.process.pid, number)
        serve.process.wait(30)
        eventually(lambda: all(map(is_gone, started_by_it)), 60)
        # Workers end in order all the same.
        assert sum(each["event"] == "server.stopped" for each in serve.events) == 2
        host, _, port = serve.address("server.started").rpartition(":")
        with socket.create_server((host, int(port))):
            pass


def test_another_server_on_the_port_is_refused(database: str, vault: Vault, tmp_path: Path) -> None:
    with serving(database, vault, tmp_path) as serve:
        address = serve.address("server.started")
        (tmp_path / "second").mkdir()
        with started(variables(database, vault, grpc_addr=address), tmp_path / "second") as second:
            assert second.process.wait(START_SECONDS) == 1
            assert f"cannot serve on {address}: " in second.log.read_text()


def test_what_no_worker_can_serve_with_is_told_once(database: str, vault: Vault, tmp_path: Path) -> None:
    changed = variables(
        database, vault, workers="2", jwks_url="http://169.254.169.254/keys", provider_allow=""
    )
    with started(changed, tmp_path) as serve:
        assert serve.process.wait(START_SECONDS) == 1
    assert "IMRS_JWKS_URL: " in serve.log.read_text()
