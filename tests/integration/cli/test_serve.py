"""``imrs serve``: refuses what cannot work, waits for what may come, and ends in order."""

from __future__ import annotations

import http.client
import socket
import threading
from typing import TYPE_CHECKING

import psycopg
import pytest
from psycopg.conninfo import make_conninfo
from pydantic import SecretStr

from imrs_client.health import Health
from imrs_client.v1 import (
    Agent,
    CreateAgentRequest,
    CreateModelRequest,
    CreateProviderRequest,
    EnableAgentModelsRequest,
    ListProvidersRequest,
    Model,
    Provider,
    SyncProviderRequest,
)
from imrs_server.domain.principal import Role
from imrs_server.settings import TokenSettings
from imrs_server.storage import migrate
from imrs_server.transport import tokens
from imrs_server.wiring import trust
from tests.support import patience
from tests.support.cluster import run, unique
from tests.support.provider import FakeProvider, answer
from tests.support.serve import started, variables
from tests.support.service import SECRET, serving
from tests.support.tcp_relay import TcpRelay
from tests.support.waiting import eventually

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from click.testing import Result

    from tests.conftest import Vault
    from tests.support.cluster import Cluster
    from tests.support.service import Service

PARTITIONS = "select relid::text from pg_partition_tree('decisions') where isleaf order by 1 desc"
PLATFORM = tokens.issue(
    trust(TokenSettings(jwt_secrets=(SecretStr(SECRET),))), roles=[Role.PLATFORM_ADMIN], subject="ops"
)


def complete(imrs: Callable[..., Result], database: str, vault: Vault, **changes: str) -> Result:
    """A whole environment, with changes."""
    known = {
        name.removeprefix("IMRS_").lower(): value
        for name, value in variables(database, vault, **changes).items()
        if name.startswith("IMRS_")
    }
    return imrs("serve", **known)


def test_an_empty_environment_is_told_what_is_missing(imrs: Callable[..., Result]) -> None:
    done = imrs("serve")
    assert done.exit_code == 1
    for name in ("IMRS_DATABASE_URL", "IMRS_VAULT_ADDR", "IMRS_JWT_SECRETS"):
        assert f"{name}: is missing (" in done.output


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"database_url": "sentinel"}, "IMRS_DATABASE_URL: not a DSN such as postgresql://"),
        ({"listen_database_url": "postgresql://a:sen tinel@b"}, "IMRS_LISTEN_DATABASE_URL: not a DSN"),
        ({"jwt_secrets": "sentinel"}, "IMRS_JWT_SECRETS: each secret must have at least 32 bytes"),
        ({"vault_role_id": ""}, "IMRS_VAULT_ROLE_ID"),
        ({"vault_secret_id": ""}, "IMRS_VAULT_SECRET_ID_FILE or IMRS_VAULT_SECRET_ID is needed"),
        ({"vault_secret_id_file": "/nowhere/sentinel"}, "IMRS_VAULT_SECRET_ID_FILE: Path does not point"),
        ({"provider_allow": "10.1.2.3/8"}, "IMRS_PROVIDER_ALLOW: 10.1.2.3/8 has host bits set"),
        ({"poll_seconds": "sentinel"}, "IMRS_POLL_SECONDS: Input should be a valid number"),
        ({"grpc_addr": "sentinel"}, "IMRS_GRPC_ADDR: "),
        ({"http_addr": "http://sentinel:80"}, "IMRS_HTTP_ADDR: "),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_what_is_wrong_is_named_without_its_value(
    imrs: Callable[..., Result], database: str, vault: Vault, changes: dict[str, str], said: str
) -> None:
    done = complete(imrs, database, vault, **changes)
    assert done.exit_code == 1
    assert said in done.output
    assert "sentinel" not in done.output
    assert "sen tinel" not in done.output
    assert SECRET not in done.output


def test_an_older_schema_is_refused_with_what_to_run(
    imrs: Callable[..., Result], database: str, vault: Vault
) -> None:
    migrate.revert(database, steps=1)
    done = complete(imrs, database, vault)
    assert done.exit_code == 1
    assert "Run `imrs migrate`." in done.output


@pytest.mark.parametrize("name", ["grpc_addr", "http_addr", "metrics_addr"])
def test_a_taken_address_is_reported_with_what_helps(
    imrs: Callable[..., Result], database: str, vault: Vault, name: str
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = "{}:{}".format(*taken.getsockname())
        done = complete(imrs, database, vault, **{name: address})
    assert done.exit_code == 1
    assert f"cannot serve on {address}: " in done.output
    assert f"Choose another with IMRS_{name.upper()}." in done.output


def test_sigterm_lets_calls_end_while_probes_say_not_ready(
    database: str, vault: Vault, tmp_path: Path
) -> None:
    released = threading.Event()
    with FakeProvider() as openrouter, started(variables(database, vault), tmp_path) as serve:
        web, health = serve.address("metrics.started"), Health(serve.address("server.started"))
        # The process that counts workers hears of it a moment later.
        eventually(lambda: status(web, "/readyz") == 200)
        assert status(web, "/healthz") == 200
        assert health.is_serving(patience.SECONDS)
        # OpenAI's API, which asks for a token.
        assert status(serve.address("console.started"), "/v1/models") == 401

        whole = answer(openrouter.body)
        openrouter.script(lambda handler: (released.wait(30), whole(handler))[1])
        with serve.client(PLATFORM) as client:
            provider = Provider(
                provider_id="slow",
                provider_type=Provider.Type.OPENROUTER,
                api_base=openrouter.url,
                api_key="sk-or",
            )
            client.admin.CreateProvider(CreateProviderRequest(provider=provider))
            progress = client.admin.SyncProvider(SyncProviderRequest(provider_id="slow"))
            eventually(lambda: bool(openrouter.requests))
            serve.process.terminate()
            eventually(lambda: not health.is_serving(patience.SECONDS))
            eventually(lambda: status(web, "/readyz") == 503)
            assert status(web, "/healthz") == 200
            released.set()
            *_, last = progress
            assert last.result.models_added > 4000
        assert serve.process.wait(30) == 0
        assert serve.events[-1]["event"] == "server.stopped"
        health.close()


def test_a_database_that_comes_later_is_waited_for(database: str, vault: Vault, tmp_path: Path) -> None:
    with psycopg.connect(database) as found:
        target = ("127.0.0.1", found.info.port)
    with TcpRelay(target) as relay:
        dsn = make_conninfo(database, port=relay.port)
        with started(variables(dsn, vault), tmp_path) as serve:
            web, health = serve.address("metrics.started"), Health(serve.address("server.started"))
            eventually(lambda: status(web, "/healthz") == 200)
            assert status(web, "/readyz") == 503
            assert not health.is_serving(patience.SECONDS)
            relay.open()
            eventually(health.is_serving)
            eventually(lambda: status(web, "/readyz") == 200)
            with serve.client(PLATFORM) as client:
                assert not client.admin.ListProviders(ListProvidersRequest()).providers
            assert serve.terminate() == 0
            health.close()
        assert "Serving as soon as it answers." in serve.log.read_text()


def test_a_login_that_owns_nothing_serves(postgres_server: Cluster, database: str, vault: Vault) -> None:
    """The two roles are all that it needs: it routes, writes decisions and makes partitions."""
    login = unique("imrs_login")
    newest, *_ = partitions = decision_partitions(database)
    with psycopg.connect(postgres_server.dsn, autocommit=True) as admin:
        run(admin, "create role {} login password 'plain'", login)
        run(admin, "grant imrs_app, imrs_system to {}", login)
        try:
            with psycopg.connect(database) as owner:
                run(owner, "drop table {}", newest)
            with serving(make_conninfo(database, user=login, password="plain"), vault) as service:
                decide_once(service)
                eventually(lambda: decision_partitions(database) == partitions)
        finally:
            run(admin, "drop role {}", login)
    with psycopg.connect(database) as owner:
        assert owner.execute("select count(*) from decisions").fetchone() == (1,)


def decision_partitions(database: str) -> list[str]:
    """The newest first."""
    with psycopg.connect(database) as owner:
        return [name for (name,) in owner.execute(PARTITIONS)]


def decide_once(service: Service) -> None:
    provider = Provider(provider_id="p", provider_type=Provider.Type.CUSTOM, api_base="https://p.example")
    service.platform.admin.CreateProvider(CreateProviderRequest(provider=provider))
    model = Model(provider_id="p", external_id="m")
    service.platform.catalog.CreateModel(CreateModelRequest(model=model))
    tenant = service.tenant
    tenant.admin.CreateAgent(CreateAgentRequest(agent=Agent(agent_id="a")))
    tenant.admin.EnableAgentModels(EnableAgentModelsRequest(agent_id="a", model_ids=["p/m"]))
    service.settled(tenant)
    assert tenant.choose(agent_id="a").selected.model_id == "p/m"


def status(address: str, path: str) -> int:
    connection = http.client.HTTPConnection(address, timeout=10)
    try:
        connection.request("GET", path)
        return connection.getresponse().status
    finally:
        connection.close()
