"""``imrs dev``: two commands from a fresh machine, and nothing left when it ends."""

from __future__ import annotations

import http.client
import json
import os
import shutil
import signal
import socket
import stat
import subprocess
from itertools import count, repeat
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from imrs_client.health import Health
from imrs_client.ids import new_id
from imrs_client.v1 import (
    ComponentStatus,
    CreateProviderRequest,
    GetProviderRequest,
    GetStatusRequest,
    ListAgentsRequest,
    ListModelsRequest,
    ListProvidersRequest,
    Provider,
)
from imrs_server.embedded.postgres import program
from tests.support.dev import START_SECONDS, running
from tests.support.processes import frozen, is_gone
from tests.support.waiting import eventually

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.support.dev import Dev

KEYS = [
    "IMRS_GRPC_ADDR",
    "IMRS_HTTP_ADDR",
    "IMRS_TOKEN_PLATFORM_ADMIN",
    "IMRS_TOKEN_TENANT_ADMIN",
    "IMRS_TOKEN_AGENT",
    "IMRS_TOKEN_USER",
    "IMRS_TENANT_ID",
]
# Others who share the server may have added to this.
PROVIDERS = {"anthropic", "echo", "ollama", "openai", "openrouter"}
AGENTS = {"assistant", "coder", "echo", "researcher"}
# A line of the log that comes when all but the last is done.
SERVES = "server.started"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A data folder for one run after the other, as nobody waits for initdb without a reason."""
    parent = tmp_path_factory.mktemp("runs")
    yield parent / "data"
    shutil.rmtree(parent)


def test_dev_env_is_written_last_and_says_how_to_reach_the_server(folder: Path) -> None:
    with running(folder, "--no-seed") as dev:
        dev.await_ready()
        known = dev.variables
        assert Health(known["IMRS_GRPC_ADDR"]).is_serving(timeout_seconds=20)
        assert list(known) == KEYS
        assert all(known.values())
        assert stat.S_IMODE(dev.file.stat().st_mode) == 0o600
        assert [answer(known["IMRS_HTTP_ADDR"], path) for path in ("/healthz", "/readyz", "/metrics")] == [
            200
        ] * 3


def answer(address: str, path: str) -> int:
    connection = http.client.HTTPConnection(address, timeout=60)
    try:
        connection.request("GET", path)
        return connection.getresponse().status
    finally:
        connection.close()


def test_the_printed_lines_work_when_pasted(dev: Dev, require_program: Callable[[str], Path]) -> None:
    require_program("grpcurl")

    def printed() -> list[str]:
        return [line for line in dev.output.splitlines() if " imrs.v1." in line]

    eventually(lambda: len(printed()) == 5)  # dev.env is there before they are
    lines = printed()
    done = [subprocess.run(["sh", "-c", line], capture_output=True, text=True, check=False) for line in lines]
    assert [each.stderr for each in done] == [""] * 5
    providers, models, routed, explained = (json.loads(each.stdout) for each in done[:4])
    assert '"content": "Hello"' in done[4].stdout
    assert {each["provider_id"] for each in providers["providers"]} >= PROVIDERS
    assert models["models"]
    assert routed["task"]["task_type"] == "code"
    assert routed["selected"]["model_id"]
    assert {each.get("removed_by") for each in explained["candidates"]} >= {None, "COST_TIER"}


def test_the_demo_data_answers(dev: Dev) -> None:
    with dev.client("PLATFORM_ADMIN") as platform, dev.client("TENANT_ADMIN") as tenant:
        providers = platform.admin.ListProviders(ListProvidersRequest()).providers
        assert {each.provider_id for each in providers if each.model_count} >= PROVIDERS
        agents = tenant.admin.ListAgents(ListAgentsRequest()).agents
        assert {each.agent_id for each in agents} >= AGENTS
        for agent_id in AGENTS:
            decision = tenant.choose(agent_id=agent_id, message="Hello")
            assert decision.selected.model_id
            assert decision.fallbacks


def test_a_folder_has_one_run_at_a_time(dev: Dev) -> None:
    before = dev.file.read_bytes()
    with running(dev.folder) as second:
        assert second.end() == 1
    assert f"is in use by process {dev.process.pid}" in second.errors
    assert "Traceback" not in second.errors
    assert dev.file.read_bytes() == before
    with dev.client("AGENT") as agent:
        assert agent.choose().selected.model_id


def test_ctrl_c_ends_everything_and_the_next_start_finds_the_data(folder: Path) -> None:
    mine = Provider(
        provider_id=f"p{new_id().hex}",
        provider_type=Provider.Type.CUSTOM,
        api_base="http://127.0.0.1:9/v1",
        api_key="sk-kept",
    )
    with running(folder, "--no-seed") as dev:
        dev.await_ready()
        with dev.client("PLATFORM_ADMIN") as platform:
            platform.admin.CreateProvider(CreateProviderRequest(provider=mine))
        family = dev.family
        assert len(family) > 8
        assert dev.signal(signal.SIGINT) == 0
        eventually(lambda: all(map(is_gone, family)), START_SECONDS)
        assert not dev.file.exists()
        assert "Traceback" not in dev.errors
    with running(folder, "--no-seed") as dev:
        dev.await_ready()
        with dev.client("PLATFORM_ADMIN") as platform:
            found = platform.admin.GetProvider(GetProviderRequest(provider_id=mine.provider_id))
            assert found.credentials_ok
            assert not platform.catalog.ListModels(ListModelsRequest()).models
        assert dev.signal(signal.SIGTERM) == 0


def test_kill_9_leaves_nothing_running_and_the_next_start_works(folder: Path) -> None:
    with running(folder, "--no-seed") as dev:
        dev.await_ready()
        family = dev.family
        dev.process.kill()
        dev.process.wait()
        eventually(lambda: all(map(is_gone, family)), START_SECONDS)
        assert dev.file.exists()
    with running(folder, "--no-seed") as dev:
        dev.await_ready()
        assert Health(dev.variables["IMRS_GRPC_ADDR"]).is_serving(timeout_seconds=20)
        assert dev.signal(signal.SIGINT) == 0


def test_variables_of_a_deployment_do_not_lead_it_astray(folder: Path) -> None:
    elsewhere = {
        "IMRS_DATABASE_URL": "postgresql://nobody@127.0.0.1:1/nowhere",
        "IMRS_LISTEN_DATABASE_URL": "postgresql://nobody@127.0.0.1:1/nowhere",
        "IMRS_VAULT_ADDR": "http://127.0.0.1:1",
        "IMRS_VAULT_AUTH": "kubernetes",
        "IMRS_VAULT_MOUNT": "nowhere",
        "IMRS_VAULT_SECRET_ID_FILE": __file__,
        "IMRS_JWT_SECRETS": "the secret of a deployment, of 32 bytes or more",
    }
    with running(folder, "--no-seed", **elsewhere) as dev:
        dev.await_ready()
        with dev.client("PLATFORM_ADMIN") as platform:
            status = platform.admin.GetStatus(GetStatusRequest())
    assert status.listener_connected
    assert (status.database.state, status.vault.state) == (ComponentStatus.State.UP, ComponentStatus.State.UP)


@pytest.mark.parametrize("option", ["--port", "--http-port"])
def test_a_taken_port_is_reported_with_what_helps(option: str, folder: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = "{}:{}".format(*taken.getsockname())
        with running(folder, "--no-seed", option, address.rpartition(":")[2]) as dev:
            assert dev.end() == 1
    assert f"cannot serve on {address}" in dev.errors
    assert f"Choose another with {option}." in dev.errors
    assert "Traceback" not in dev.errors
    assert not dev.file.exists()


def test_ctrl_c_during_the_start_gives_it_up(folder: Path) -> None:
    eventually(lambda: a_start_was_given_up(folder), 5 * START_SECONDS)


def a_start_was_given_up(folder: Path) -> bool:
    """False where we came too late, and the server ran already."""
    with running(folder, "--no-seed") as dev:
        eventually(lambda: "Starting" in dev.errors, START_SECONDS)
        with frozen(dev.process.pid):
            if SERVES in dev.errors:
                return False
            family = dev.family
            os.killpg(dev.process.pid, signal.SIGINT)
        assert dev.end() == 0
        eventually(lambda: all(map(is_gone, family)), START_SECONDS)
    assert not dev.output
    assert "Traceback" not in dev.errors
    return True


def test_ctrl_c_does_not_wait_for_what_is_being_made(tmp_path: Path) -> None:
    """At the first start a cluster of PostgreSQL is made, which takes seconds, minutes on a slow disk."""
    folders = map("{}/data-{}".format, repeat(tmp_path), count())
    eventually(lambda: a_cluster_was_given_up(Path(next(folders))), 5 * START_SECONDS)


def a_cluster_was_given_up(folder: Path) -> bool:
    """False where we came too late, and it was made already."""
    made, begun = folder / "postgres" / "data", folder / "postgres" / "data.new" / "PG_VERSION"
    with running(folder, "--no-seed") as dev:
        eventually(lambda: begun.exists() or made.exists(), START_SECONDS)
        family = dev.family
        maker = next((each for each in family if program(each) == "initdb"), None)
        if maker is None:
            return False
        with frozen(maker) as is_there:
            if not is_there:
                return False
            assert dev.signal(signal.SIGINT) == 0
        eventually(lambda: all(map(is_gone, family)), START_SECONDS)
    assert not made.exists()
    assert dev.errors.rstrip().endswith("Stopping ...")
    assert "Traceback" not in dev.errors
    with running(folder, "--no-seed") as dev:
        dev.await_ready()
        assert dev.signal(signal.SIGINT) == 0
    return True
