"""A replica through kills of the server and outages of the database: it answers, and says how old it is."""

from __future__ import annotations

import os
import random
import signal
import socket
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING

import psycopg
import pytest

from imrs_client import FeedbackSpool, ImrsClient, ImrsError, Replica
from imrs_client import v1 as pb
from imrs_server.domain.principal import Role
from imrs_server.embedded.postgres import Postgres
from imrs_server.storage import databases, migrate
from tests.support import workers
from tests.support.child import child
from tests.support.service import Service, serving
from tests.support.waiting import eventually

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.conftest import Vault

KILLS = 2
BEFORE_A_KILL = 200
MOST_WAITING = 2000
GOOD, FAIR = "p/good", "p/fair"


def furnish(platform: ImrsClient, tenant: ImrsClient) -> None:
    """Make an agent ``bot`` with two models, of which one has the higher priority."""
    provider = pb.Provider(provider_id="p", provider_type=pb.Provider.OLLAMA, api_base="http://127.0.0.1:9")
    platform.admin.CreateProvider(pb.CreateProviderRequest(provider=provider))
    for name, priority in (("good", 60), ("fair", 40)):
        model = pb.Model(provider_id="p", external_id=name, priority=priority)
        platform.catalog.CreateModel(pb.CreateModelRequest(model=model))
    tenant.admin.CreateAgent(pb.CreateAgentRequest(agent=pb.Agent(agent_id="bot")))
    tenant.admin.EnableAgentModels(pb.EnableAgentModelsRequest(agent_id="bot", model_ids=[GOOD, FAIR]))


def furnished(service: Service) -> ImrsClient:
    """Who has made the agent."""
    tenant = service.tenant
    furnish(service.platform, tenant)
    return tenant


def pin(tenant: ImrsClient, model_id: str) -> None:
    tenant.admin.SetModelOverride(pb.SetModelOverrideRequest(agent_id="bot", model_id=model_id))


def pinned(tenant: ImrsClient, model_id: str) -> bool:
    """Whether a server took it: a call in flight when it, or its database, was killed may be lost."""
    with suppress(ImrsError):
        pin(tenant, model_id)
        return True
    return False


def chosen(replica: Replica) -> str:
    return replica.route(task_type="code").selected.model_id


def knows(replica: Replica, model_id: str) -> bool:
    """Whether it has heard a moment ago that this one is the choice."""
    made = replica.route(task_type="code")
    return made.selected.model_id == model_id and not made.stale


def free_address() -> str:
    """One that no connection takes by chance while nobody serves on it."""
    while True:
        port = random.randrange(10_000, 30_000)
        with socket.socket() as found, suppress(OSError):
            found.bind(("127.0.0.1", port))
            return f"127.0.0.1:{port}"


def test_while_the_server_is_away_it_answers_and_turns_stale_then_learns_what_it_missed(
    database: str, vault: Vault, tmp_path: Path
) -> None:
    address = free_address()
    with serving(database, vault) as service:
        tenant = furnished(service)
        token = service.token(Role.AGENT, agent_id="bot")
        with (
            ImrsClient(address, token=token) as client,
            Replica(client, stale_after_seconds=4, report=False) as replica,
        ):
            with child(service.settings, tmp_path, grpc_addr=address) as (server, _):
                # There was no server when it began.
                replica.wait_until_ready(20)
                assert chosen(replica) == GOOD
                server.kill()
                server.wait()
            eventually(lambda: not replica.status.connected)
            eventually(lambda: replica.route(task_type="code").stale)
            made = replica.route(task_type="code")
            assert (made.selected.model_id, made.age_seconds > 4) == (GOOD, True)
            pin(tenant, FAIR)
            with child(service.settings, tmp_path, grpc_addr=address):
                eventually(lambda: knows(replica, FAIR), 60)
                made = replica.route(task_type="code")
                assert made.reason == pb.Decision.OVERRIDE
                assert made.index_revision >= tenant.last_revision


def test_through_kills_each_decision_is_reported_once_and_its_vote_counts(
    database: str, vault: Vault, tmp_path: Path
) -> None:
    address = free_address()
    with serving(database, vault) as service:
        tenant = furnished(service)
        token = service.token(Role.AGENT, agent_id="bot")
        made: list[str] = []
        with (
            ImrsClient(address, token=token) as client,
            Replica(client) as replica,
            FeedbackSpool(client, tmp_path / "votes", sync=False) as spool,
        ):

            def decide(count: int) -> None:
                for _ in range(count):
                    decision = replica.route(task_type="code")
                    assert spool.rate(decision.decision_id, 1.0)
                    made.append(decision.decision_id)

            def on(enough: int) -> bool:
                """Decide until so many decisions are reported, and not so fast that some are dropped."""
                if replica.status.waiting < MOST_WAITING:
                    decide(10)
                return replica.status.reported >= enough

            for _ in range(KILLS):
                with child(service.settings, tmp_path, grpc_addr=address) as (server, _):
                    replica.wait_until_ready(20)
                    enough = replica.status.reported + BEFORE_A_KILL
                    eventually(partial(on, enough), 60)
                    server.kill()
                    server.wait()
                    decide(BEFORE_A_KILL)
            with child(service.settings, tmp_path, grpc_addr=address):
                assert replica.flush(60) == 0
                assert spool.flush(60) == 0
            assert (replica.status.refused, replica.status.dropped) == (0, 0)
            assert (spool.status.refused, spool.status.dropped) == (0, 0)
        with psycopg.connect(database) as connection:
            decided = connection.execute("select decision_id::text from decisions").fetchall()
        assert sorted(each for (each,) in decided) == sorted(made)
        request = pb.ListPerformanceRequest(agent_id="bot", task_type="code")

        def counted() -> bool:
            told = tenant.feedback.ListPerformance(request).performance
            return sum(each.rating_count for each in told) == len(made)

        eventually(counted)


def test_a_worker_that_is_killed_is_left_for_another(database: str, vault: Vault, tmp_path: Path) -> None:
    with (
        workers.serving(database, vault, tmp_path) as serve,
        workers.by_worker(serve) as clients,
        workers.connect(serve, workers.TENANT) as tenant,
        Replica(tenant, "bot", report=False) as replica,
    ):
        # There was no such agent when it began.
        furnish(next(iter(clients.values())), tenant)
        replica.wait_until_ready(20)
        for turn, (pid, wanted) in enumerate(zip(clients, (FAIR, GOOD), strict=True), 1):
            os.kill(pid, signal.SIGKILL)
            eventually(partial(pinned, tenant, wanted))
            assert replica.wait_for_revision(tenant.last_revision, 60)
            assert chosen(replica) == wanted
            eventually(partial(knows, replica, wanted))
            workers.await_ready(serve, 1 + turn)


@pytest.fixture
def postgres(tmp_path: Path) -> Iterator[Postgres]:
    with Postgres(tmp_path / "postgres") as found:
        yield found


def test_while_the_database_is_away_it_answers_stale_as_the_server_does(
    postgres: Postgres, vault: Vault
) -> None:
    databases.create(postgres.dsn, "imrs")
    dsn = postgres.dsn_of("imrs")
    migrate.apply(dsn)
    with serving(dsn, vault) as service:
        tenant = furnished(service)
        with Replica(service.agent("bot"), report=False) as replica:
            replica.wait_until_ready(20)
            assert replica.wait_for_revision(tenant.last_revision, 20)
            assert not replica.route(task_type="code").stale
            postgres.kill()
            # Long before 30 seconds of silence: the server says so.
            eventually(lambda: replica.route(task_type="code").stale)
            assert chosen(replica) == GOOD
            assert replica.status.connected
            postgres.start()
            eventually(lambda: not replica.route(task_type="code").stale)
            eventually(partial(pinned, tenant, FAIR))
            eventually(lambda: chosen(replica) == FAIR)
