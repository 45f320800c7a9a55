"""`imrs serve` with a configuration file: an edit is live within a second, a bad one changes nothing."""

from __future__ import annotations

import os
import shutil
import signal
import urllib.request
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest

from imrs_client import ImrsClient, ImrsError
from imrs_client import v1 as pb
from imrs_client.ids import new_id
from imrs_server.domain.principal import Role
from imrs_server.transport import tokens
from imrs_server.transport.tokens import Trust
from tests.support.config_files import DOCUMENT_003
from tests.support.serve import Serve, started, variables
from tests.support.service import SECRET
from tests.support.waiting import eventually
from tests.support.workers import await_ready, by_worker

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path
    from uuid import UUID

    from tests.conftest import Vault
    from tests.support.cluster import Cluster

OLD, NEW = "gradient/llama3-8b-instruct", "gradient/mistral-nemo-instruct-2407"


class World:
    """A server of two workers, its file, and clients of it."""

    def __init__(self, serve: Serve, path: Path, tenant_id: UUID) -> None:
        self.serve = serve
        self.path = path
        self.tenant_id = tenant_id

    def client(self, *roles: Role) -> ImrsClient:
        trust = Trust(secrets=(SECRET.encode(),), issuer="imrs", audience="imrs")
        token = tokens.issue(trust, roles=roles, subject="test", tenant_id=self.tenant_id)
        return self.serve.client(token)

    def write(self, text: str) -> None:
        """As editors and deployments do it."""
        new = self.path.with_suffix(".new")
        new.write_text(text)
        new.replace(self.path)

    def said(self, event: str) -> list[dict[str, Any]]:
        return [each for each in self.serve.events if each["event"] == event]

    def figures(self) -> dict[str, float]:
        with urllib.request.urlopen(f"http://{self.serve.address('metrics.started')}/metrics") as answer:
            lines = answer.read().decode().splitlines()
        return {
            name: float(value)
            for name, _, value in (line.rpartition(" ") for line in lines if line[0] != "#")
        }


@pytest.fixture(scope="module")
def world(
    request: pytest.FixtureRequest,
    postgres_clusters: Callable[[int], Cluster],
    shared_vault: Vault,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[World]:
    folder, tenant_id = tmp_path_factory.mktemp("reload"), new_id()
    path = folder / "models.yaml"
    path.write_text(DOCUMENT_003)
    with postgres_clusters(request.config.getoption("--postgres")).database() as database:
        environment = variables(
            database,
            shared_vault,
            workers="2",
            poll_seconds="60",
            metrics_addr="127.0.0.1:0",
            config_file=str(path),
            config_tenant=str(tenant_id),
        )
        with started(environment, folder) as serve:
            await_ready(serve)
            yield World(serve, path, tenant_id)
    shutil.rmtree(folder)


def chosen(client: ImrsClient, tenant_id: str = "") -> str:
    request = pb.RouteRequest(agent_id="cicd", tenant_id=tenant_id)
    try:
        return client.route.Route(request).selected.model_id
    except ImrsError as error:
        return error.reason


def test_an_edit_is_live_on_every_worker_long_before_anything_is_polled(world: World) -> None:
    with by_worker(world.serve) as workers:

        def answer(model_id: str) -> bool:
            return {chosen(each, str(world.tenant_id)) for each in workers.values()} == {model_id}

        world.write(DOCUMENT_003)
        eventually(partial(answer, OLD))
        before = len(world.said("config.applied"))
        for wanted in (NEW, OLD, NEW):
            world.write(exchanged(DOCUMENT_003, wanted))
            eventually(partial(answer, wanted))

    # A line is written when its edit is live.
    eventually(lambda: len(world.said("config.applied")) >= before + 3)
    assert all(each["changes"] > 0 for each in world.said("config.applied"))
    with world.client(Role.TENANT_ADMIN) as client:
        lines = client.admin.ListAuditEvents(pb.ListAuditEventsRequest(target_type="agent")).audit_events
        applied = {each.actor for each in lines if each.method == "AdminService/ApplyConfig"}
        assert applied == {f"config:{world.path}"}


def exchanged(text: str, wanted: str) -> str:
    """The file with another model for the agent cicd."""
    before, agent, after = text.partition("  cicd:\n")
    _, _, rest = after.partition("\n")
    return f"{before}{agent}    model: {wanted.partition('/')[2]}\n{rest}"


def test_a_bad_edit_changes_nothing_and_is_told(world: World) -> None:
    good, bad = (f'imrs_config_reloads_total{{result="{each}"}}' for each in ("ok", "refused"))
    with world.client(Role.TENANT_ADMIN) as client:
        world.write(DOCUMENT_003)
        eventually(lambda: chosen(client) == OLD)
        before = world.figures()
        world.write(exchanged(DOCUMENT_003, NEW).replace("temperature: 0.3", "temperature: 3", 1))
        eventually(lambda: world.figures().get("imrs_config_refused") == 1)
        eventually(lambda: bool(world.said("config.refused")))
        assert world.said("config.refused")[0]["problems"] == [
            f"{world.path}:9:18: agents.orchestrator.temperature: must be at most 2.0, not 3"
        ]
        assert chosen(client) == OLD
        world.write(exchanged(DOCUMENT_003, NEW))
        eventually(lambda: chosen(client) == NEW)
        eventually(lambda: world.figures()["imrs_config_refused"] == 0)
        # An edit past the file shows, and stands.
        agent = pb.Agent(agent_id="cicd", use_case="by hand")
        client.admin.UpdateAgent(pb.UpdateAgentRequest(agent=agent))
        eventually(lambda: world.figures().get("imrs_config_drift") == 1, 60)
        assert client.admin.GetAgent(pb.GetAgentRequest(agent_id="cicd")).use_case == "by hand"
    eventually(lambda: world.figures().get(good, 0) > before.get(good, 0))
    assert world.figures()[bad] == before.get(bad, 0) + 1


def test_a_worker_that_takes_the_place_of_one_that_died_leaves_edits_as_they_are(world: World) -> None:
    with world.client(Role.TENANT_ADMIN) as client:
        world.write(DOCUMENT_003)
        eventually(lambda: chosen(client) == OLD)
        agent = pb.Agent(agent_id="orchestrator", use_case="by hand")
        client.admin.UpdateAgent(pb.UpdateAgentRequest(agent=agent))
    eventually(lambda: bool(world.said("config.applied")))
    applied = world.said("config.applied")
    with by_worker(world.serve) as clients:
        for pid in clients:
            os.kill(pid, signal.SIGKILL)
    eventually(lambda: len(world.said("config.unchanged")) == 1, 60)
    await_ready(world.serve, 2)
    assert world.said("config.unchanged")[0]["worker"] == applied[0]["worker"]
    with world.client(Role.TENANT_ADMIN) as client:
        eventually(lambda: world.figures().get("imrs_config_drift") == 1, 60)
        assert client.admin.GetAgent(pb.GetAgentRequest(agent_id="orchestrator")).use_case == "by hand"
        # A change of the file counts as ever.
        world.write(exchanged(DOCUMENT_003, NEW))
        eventually(lambda: chosen(client) == NEW)
        assert client.admin.GetAgent(pb.GetAgentRequest(agent_id="orchestrator")).use_case != "by hand"
