"""GetStatus says what is wrong, whatever is down."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING

from imrs_client import v1 as pb
from imrs_client.ids import new_id
from imrs_server.wiring import App
from tests.support.service import Service, settings
from tests.support.waiting import eventually

if TYPE_CHECKING:
    from imrs_client import ImrsClient
    from tests.conftest import Vault

State = pb.ComponentStatus.State
NOBODY = "127.0.0.1:9"


def test_it_tells_of_the_server_and_of_what_it_needs(service: Service) -> None:
    platform = service.platform
    provider = pb.Provider(
        provider_id="p", provider_type=pb.Provider.Type.OLLAMA, api_base="http://127.0.0.1:9"
    )
    platform.admin.CreateProvider(pb.CreateProviderRequest(provider=provider))
    model = pb.Model(provider_id="p", external_id="m")
    platform.catalog.CreateModel(pb.CreateModelRequest(model=model))
    service.settled(platform)
    status = platform.admin.GetStatus(pb.GetStatusRequest())
    assert (status.database.state, status.vault.state) == (State.UP, State.UP)
    assert status.database.version.startswith("PostgreSQL ")
    # On this very machine. Who asks for long, knows less well.
    eventually(lambda: abs(clock_ahead_seconds(platform)) < 1)
    assert status.listener_connected
    assert status.index_revision >= platform.last_revision > 0
    assert status.index_age.ToSeconds() < 10
    assert [(each.provider_id, each.model_count, each.credentials_ok) for each in status.providers] == [
        ("p", 1, True)
    ]
    (replica,) = status.replicas
    assert (replica.version, replica.index_revision) == (status.version, status.index_revision)
    assert replica.start_time.ToNanoseconds() < replica.seen_time.ToNanoseconds()


def clock_ahead_seconds(platform: ImrsClient) -> float:
    database = platform.admin.GetStatus(pb.GetStatusRequest()).database
    return database.clock_ahead.ToTimedelta().total_seconds()


def test_a_sealed_vault_is_degraded(service: Service, vault: Vault) -> None:
    vault.server.seal()
    found = service.platform.admin.GetStatus(pb.GetStatusRequest()).vault
    assert (found.state, found.detail) == (State.DEGRADED, "sealed; an operator must unseal it")


def test_it_answers_though_nothing_else_does(vault: Vault) -> None:
    nowhere = settings(f"postgresql://nobody@{NOBODY}/none", vault, vault_addr=f"http://{NOBODY}")
    with App(nowhere) as app, ExitStack() as stack:
        status = Service(app, nowhere, new_id(), stack).platform.admin.GetStatus(pb.GetStatusRequest())
    assert (status.database.state, status.vault.state) == (State.DOWN, State.DOWN)
    assert (status.listener_connected, status.index_revision) == (False, 0)
    assert NOBODY not in str(status)
