"""A server killed between the two places that a key is noted in, and the sweep that tidies up after it."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING

import pytest

from imrs_client.errors import ImrsError
from imrs_client.v1 import (
    Agent,
    CreateAgentRequest,
    CreateProviderRequest,
    DeleteAgentKeyRequest,
    DeleteProviderRequest,
    GetProviderRequest,
    ListProvidersRequest,
    Provider,
    RotateProviderKeyRequest,
    SetAgentKeyRequest,
    UndeleteProviderRequest,
)
from imrs_server.domain.credential import CredentialPath
from imrs_server.domain.principal import Role
from imrs_server.domain.secret import Secret
from imrs_server.jobs.orphans import OrphanSweep
from imrs_server.storage import changes
from tests.support import patience
from tests.support.child import child
from tests.support.service import Service, serving
from tests.support.vault_proxy import VaultProxy
from tests.support.waiting import eventually

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from imrs_client import ImrsClient
    from imrs_server.adapters.vault import Vault as Store
    from imrs_server.domain.agent_key import AgentKey
    from imrs_server.storage.database import Database
    from tests.conftest import Vault

ACME = CredentialPath("acme")


@pytest.fixture
def proxy(vault: Vault) -> Iterator[VaultProxy]:
    with VaultProxy(vault.address) as found:
        yield found


@pytest.fixture
def db(database: str) -> Iterator[Database]:
    with patience.database(database, app_connections=2, system_connections=2) as opened:
        yield opened


@pytest.fixture
def store(vault: Vault) -> Iterator[Store]:
    with patience.vault(vault) as found:
        yield found


def killing(process: subprocess.Popen[bytes], method: str, path: str) -> Callable[[str, str], bool]:
    """A hook that kills the process at one request, and goes no further with it."""

    def hook(called: str, at: str) -> bool:
        if called != method or not at.endswith(path):
            return True
        process.send_signal(signal.SIGKILL)
        process.wait()
        return False

    return hook


def dies(service: Service, address: str, role: Role, call: Callable[[ImrsClient], object]) -> None:
    with patience.client(address, service.token(role)) as client, pytest.raises(ImrsError):
        call(client)


def sweep(db: Database, store: Store, *, grace_seconds: float = 0) -> list[str]:
    return [str(each) for each in OrphanSweep(db, store, grace_seconds=grace_seconds).turn()]


def keys_in_use(service: Service) -> list[tuple[AgentKey, ...]]:
    """Agent by agent."""
    state = service.app.index.current
    assert state is not None
    return [each.keys for each in state.agents.values()]


def acme(api_key: str = "") -> Provider:
    return Provider(
        provider_id="acme",
        provider_type=Provider.Type.CUSTOM,
        api_base="http://127.0.0.1:9/v1",
        api_key=api_key,
    )


def test_killed_while_creating_leaves_no_provider_and_an_orphan_that_the_sweep_removes(
    database: str, vault: Vault, proxy: VaultProxy, db: Database, store: Store, tmp_path: Path
) -> None:
    with serving(database, vault) as service:
        with child(service.settings, tmp_path, vault_address=proxy.address) as (process, address):
            proxy.after = killing(process, "POST", "/llm/acme")
            request = CreateProviderRequest(provider=acme(api_key="sk-orphan"))
            dies(service, address, Role.PLATFORM_ADMIN, lambda client: client.admin.CreateProvider(request))
            assert process.wait(20) == -signal.SIGKILL

        platform = service.platform
        assert not platform.admin.ListProviders(ListProvidersRequest(show_deleted=True)).providers
        assert store.read(ACME).reveal() == "sk-orphan"
        assert sweep(db, store, grace_seconds=600) == []  # it might still be on its way
        assert sweep(db, store) == ["llm/acme"]
        assert list(store.paths()) == []

        # The id is free for a second try, and nothing of the first is left in it.
        created = platform.admin.CreateProvider(CreateProviderRequest(provider=acme()))
        assert not created.credentials_ok


def test_killed_while_rotating_leaves_a_provider_with_a_key(
    database: str, vault: Vault, proxy: VaultProxy, db: Database, store: Store, tmp_path: Path
) -> None:
    with serving(database, vault) as service:
        platform = service.platform
        platform.admin.CreateProvider(CreateProviderRequest(provider=acme(api_key="sk-old")))
        with child(service.settings, tmp_path, vault_address=proxy.address) as (process, address):
            proxy.after = killing(process, "POST", "/llm/acme")
            request = RotateProviderKeyRequest(provider_id="acme", api_key="sk-new")
            dies(
                service, address, Role.PLATFORM_ADMIN, lambda client: client.admin.RotateProviderKey(request)
            )
        assert platform.admin.GetProvider(GetProviderRequest(provider_id="acme")).credentials_ok
        assert sweep(db, store) == []
        assert store.read(ACME).reveal() == "sk-new"


def test_killed_while_setting_or_deleting_an_agents_key_leaves_orphans_at_worst(
    database: str, vault: Vault, proxy: VaultProxy, db: Database, store: Store, tmp_path: Path
) -> None:
    with serving(database, vault) as service:
        tenant = service.tenant
        own = f"llm/acme/agents/{service.tenant_id}/coder"
        service.platform.admin.CreateProvider(CreateProviderRequest(provider=acme(api_key="sk-shared")))
        tenant.admin.CreateAgent(CreateAgentRequest(agent=Agent(agent_id="coder")))
        setting = SetAgentKeyRequest(agent_id="coder", provider_id="acme", api_key="sk-own")
        with child(service.settings, tmp_path, vault_address=proxy.address) as (process, address):
            proxy.after = killing(process, "POST", "/coder")
            dies(service, address, Role.TENANT_ADMIN, lambda client: client.admin.SetAgentKey(setting))
        assert sweep(db, store) == [own]

        tenant.admin.SetAgentKey(setting)
        assert sweep(db, store) == []
        deleting = DeleteAgentKeyRequest(agent_id="coder", provider_id="acme")
        with child(service.settings, tmp_path, vault_address=proxy.address) as (process, address):
            proxy.before = killing(process, "DELETE", "/coder")
            dies(service, address, Role.TENANT_ADMIN, lambda client: client.admin.DeleteAgentKey(deleting))
        eventually(lambda: keys_in_use(service) == [()])
        assert sweep(db, store) == [own]
        assert store.read(ACME).reveal() == "sk-shared"


def test_the_sweep_takes_only_what_this_database_wrote(db: Database, store: Store, vault: Vault) -> None:
    with db.system() as tx:
        owner = changes.current(tx).epoch
    store.write(CredentialPath("mine"), Secret("sk"), owner=owner)
    store.write(CredentialPath("by-hand"), Secret("sk"))
    with db.system() as tx:
        tx.execute("update index_revision set epoch = gen_random_uuid()")  # as after a restore
    assert sweep(db, store) == []
    with db.system() as tx:
        tx.execute("update index_revision set epoch = %s", [owner])
    assert sweep(db, store) == ["llm/mine"]
    assert [str(each) for each in store.paths()] == ["llm/by-hand"]


def test_a_deleted_provider_keeps_its_key_for_its_return(database: str, vault: Vault) -> None:
    with serving(database, vault) as service:
        platform = service.platform
        platform.admin.CreateProvider(CreateProviderRequest(provider=acme(api_key="sk")))
        platform.admin.DeleteProvider(DeleteProviderRequest(provider_id="acme"))
        assert sweep(service.app.database, service.app.vault) == []
        undeleted = platform.admin.UndeleteProvider(UndeleteProviderRequest(provider_id="acme"))
        assert undeleted.credentials_ok
