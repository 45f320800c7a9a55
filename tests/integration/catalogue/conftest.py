"""The catalogue's use cases on a real database, a real Vault and a provider on loopback."""

from __future__ import annotations

from ipaddress import ip_network
from typing import TYPE_CHECKING

import pytest

from imrs_server.adapters.addresses import AddressRules
from imrs_server.adapters.http import GuardedClient
from imrs_server.domain.provider import Provider, ProviderType
from imrs_server.domain.secret import Secret
from imrs_server.use_cases.catalog import Catalog
from imrs_server.use_cases.providers import Providers
from imrs_server.use_cases.sync import Sync
from tests.support import patience
from tests.support.principals import PLATFORM
from tests.support.provider import FakeProvider
from tests.support.synced import Synced

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from imrs_server.adapters.vault import Vault
    from imrs_server.storage.database import Database
    from tests.conftest import Vault as RunningVault

LOOPBACK = AddressRules(allowed=(ip_network("127.0.0.0/8"),))


@pytest.fixture
def db(database: str) -> Iterator[Database]:
    with patience.database(database, app_connections=3, system_connections=2) as opened:
        yield opened


@pytest.fixture
def keys(vault: RunningVault) -> Iterator[Vault]:
    with patience.vault(vault) as found:
        yield found


@pytest.fixture
def catalog(db: Database) -> Catalog:
    return Catalog(db)


@pytest.fixture
def sync(db: Database, keys: Vault) -> Sync:
    return Sync(db, keys, GuardedClient(LOOPBACK, timing=patience.TIMING))


@pytest.fixture
def upstream() -> Iterator[FakeProvider]:
    with FakeProvider(b'{"data": []}') as provider:
        yield provider


@pytest.fixture
def add_provider(db: Database, keys: Vault) -> Callable[..., Provider]:
    """Create a provider, with a key unless told otherwise."""

    def add(
        provider_id: str,
        api_base: str,
        *,
        dialect: str = "openrouter",
        kind: ProviderType = ProviderType.CUSTOM,
        key: bool = True,
    ) -> Provider:
        wanted = Provider(
            provider_id=provider_id,
            display_name=provider_id,
            provider_type=kind,
            dialect=dialect,
            api_base=api_base,
            models_endpoint="/models",
        )
        secret = Secret("sk-test") if key else None
        return Providers(db, keys, LOOPBACK).create(PLATFORM, wanted, secret).value

    return add


@pytest.fixture
def synced(
    add_provider: Callable[..., Provider], upstream: FakeProvider, sync: Sync, catalog: Catalog
) -> Synced:
    """A provider that lists four models."""
    add_provider("or", upstream.url)
    found = Synced(provider_id="or", sync=sync, catalog=catalog, upstream=upstream)
    found.lists("a", "b", "c", "d")
    return found
