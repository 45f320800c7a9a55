"""A provider is created whole or not at all: row, audit and key, whichever store is away."""

from __future__ import annotations

from typing import TYPE_CHECKING

import psycopg
import pytest

from imrs_client import FailedPrecondition, Internal, NotFound, Unavailable
from imrs_client.v1 import CreateProviderRequest, GetProviderRequest, Provider
from imrs_server.embedded.openbao import RequestError
from tests.support.contents import contents, counted

if TYPE_CHECKING:
    from imrs_client import ImrsClient
    from tests.conftest import Vault
    from tests.support.service import Service

KEY = "sk-a-key-that-must-not-leak"
REQUEST = CreateProviderRequest(
    provider=Provider(provider_id="p", api_base="https://models.example.com/v1", api_key=KEY),
    request_id="the first and only",
)


def key_in(vault: Vault) -> str | None:
    try:
        found = vault.server.call("GET", "secret/data/llm/p", token=vault.server.root_token)
    except RequestError:
        return None
    key = found["data"]["data"]["api_key"]
    assert isinstance(key, str)
    return key


def require_nothing(platform: ImrsClient) -> None:
    with pytest.raises(NotFound):
        platform.admin.GetProvider(GetProviderRequest(provider_id="p"))


def test_a_sealed_vault_refuses_a_provider_until_it_is_unsealed(
    service: Service, database: str, vault: Vault
) -> None:
    platform = service.platform
    counted(database)
    before = contents(database)
    vault.server.seal()
    with pytest.raises(FailedPrecondition) as caught:
        platform.admin.CreateProvider(REQUEST)
    assert (caught.value.reason, caught.value.metadata) == ("VAULT_SEALED", {})
    assert KEY not in str(caught.value)
    assert contents(database) == before
    require_nothing(platform)

    vault.server.unseal()
    created = platform.admin.CreateProvider(REQUEST)
    assert (created.credentials_ok, created.api_key) == (True, "")
    assert key_in(vault) == KEY


def test_a_vault_that_is_gone_is_told_with_the_time_to_come_back(
    service: Service, database: str, vault: Vault
) -> None:
    platform = service.platform
    counted(database)
    before = contents(database)
    vault.server.stop()
    with pytest.raises(Unavailable) as caught:
        platform.admin.CreateProvider(REQUEST)
    assert (caught.value.reason, caught.value.metadata) == ("VAULT_UNREACHABLE", {})
    assert caught.value.retry_after_seconds
    assert contents(database) == before
    require_nothing(platform)

    vault.server.start()
    vault.server.unseal()
    # What the client tries again within its deadline is enough to get over the breaker.
    assert platform.admin.CreateProvider(REQUEST).credentials_ok
    assert key_in(vault) == KEY


def test_a_provider_without_a_key_needs_no_vault(service: Service, vault: Vault) -> None:
    vault.server.seal()
    provider = Provider(provider_id="p", provider_type=Provider.OLLAMA, api_base="http://127.0.0.1:11434")
    created = service.platform.admin.CreateProvider(CreateProviderRequest(provider=provider))
    assert (created.provider_id, created.credentials_ok) == ("p", True)


def test_a_database_that_refuses_leaves_no_key_behind(service: Service, database: str, vault: Vault) -> None:
    platform = service.platform
    counted(database)
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute("alter table audit_events add constraint broken check (false)")
    before = contents(database)
    with pytest.raises(Internal) as caught:
        platform.admin.CreateProvider(REQUEST)
    assert list(caught.value.metadata) == ["error_id"]
    assert contents(database) == before
    assert key_in(vault) is None

    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute("alter table audit_events drop constraint broken")
    assert platform.admin.CreateProvider(REQUEST).credentials_ok
    assert key_in(vault) == KEY
