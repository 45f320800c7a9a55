"""Sections 7.2 and 7.4 of the SRS, row by row; 7.1 and 7.3 are figures of ``make bench``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import psycopg
import pytest
from psycopg import sql

from imrs_client import (
    FailedPrecondition,
    ImrsClient,
    ImrsError,
    PermissionDenied,
    Replica,
    Unauthenticated,
)
from imrs_client import v1 as pb
from imrs_client.ids import new_id
from imrs_server.domain.principal import Role
from tests.support import patience
from tests.support.provider import FakeProvider, fail
from tests.support.waiting import eventually

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.conftest import Vault
    from tests.support.service import Service

KEY = "sk-a-key-that-only-vault-may-have"
_TABLES = (
    "select oid::regclass::text from pg_class where relnamespace = 'public'::regnamespace and relkind = 'r'"
)


@pytest.fixture
def openrouter() -> Iterator[FakeProvider]:
    with FakeProvider() as found:
        yield found


def create_provider(client: ImrsClient, url: str = "https://models.example") -> pb.Provider:
    provider = pb.Provider(
        provider_id="p", provider_type=pb.Provider.Type.OPENROUTER, api_base=url, api_key=KEY
    )
    return client.admin.CreateProvider(pb.CreateProviderRequest(provider=provider))


def create_agent(client: ImrsClient, **fields: object) -> pb.Agent:
    agent = pb.Agent(**{"agent_id": "bot", **fields})  # type: ignore[arg-type]  # any field
    return client.admin.CreateAgent(pb.CreateAgentRequest(agent=agent))


def sync(client: ImrsClient) -> pb.SyncProgress:
    *_, last = client.admin.SyncProvider(pb.SyncProviderRequest(provider_id="p"))
    return last


def routed(service: Service, url: str) -> ImrsClient:
    """An agent that may use the models of a provider that was synced."""
    create_provider(service.platform, url)
    sync(service.platform)
    tenant = service.tenant
    create_agent(tenant)
    cheap = pb.ModelFilter(max_input_price_usd="0.1")
    tenant.admin.EnableAgentModels(pb.EnableAgentModelsRequest(agent_id="bot", filter=cheap))
    service.settled(tenant)
    return service.agent("bot")


def test_srs_7_2_api_keys_are_in_vault_only(service: Service, database: str, vault: Vault) -> None:
    made = create_provider(service.platform)
    assert (made.api_key, made.credentials_ok) == ("", True)
    found = vault.server.call("GET", "secret/data/llm/p", token=vault.server.root_token)
    assert found["data"]["data"]["api_key"] == KEY
    with psycopg.connect(database) as connection:
        for (table,) in connection.execute(_TABLES).fetchall():
            rows = connection.execute(sql.SQL("select t::text from {} as t").format(sql.SQL(table)))
            assert not [row for (row,) in rows if KEY in row], table


def test_srs_7_2_the_token_says_which_tenant_it_is(service: Service) -> None:
    create_agent(service.tenant)
    stranger = service.client(Role.TENANT_ADMIN, tenant_id=new_id())
    assert [each.agent_id for each in service.tenant.admin.ListAgents(pb.ListAgentsRequest()).agents] == [
        "bot"
    ]
    assert not stranger.admin.ListAgents(pb.ListAgentsRequest()).agents
    with pytest.raises(PermissionDenied):
        stranger.admin.ListAgents(pb.ListAgentsRequest(tenant_id=str(service.tenant_id)))
    claims, _, signature = service.token(Role.TENANT_ADMIN).rpartition(".")
    for token in ("", "not-a-token", f"{claims}.{signature[::-1]}"):
        with patience.client(service.app.address, token) as client, pytest.raises(Unauthenticated):
            client.admin.ListAgents(pb.ListAgentsRequest())


@pytest.mark.parametrize("role", [Role.TENANT_ADMIN, Role.USER, Role.AGENT])
def test_srs_7_2_providers_are_for_platform_admins_only(service: Service, role: Role) -> None:
    client = service.agent("bot") if role is Role.AGENT else service.client(role)
    with pytest.raises(PermissionDenied):
        create_provider(client)
    with pytest.raises(PermissionDenied):
        client.admin.ListProviders(pb.ListProvidersRequest())
    assert create_provider(service.platform).provider_id == "p"


@pytest.mark.parametrize("role", [Role.USER, Role.AGENT])
def test_srs_7_2_agents_are_configured_by_tenant_admins_only(service: Service, role: Role) -> None:
    client = service.agent("bot") if role is Role.AGENT else service.client(role)
    with pytest.raises(PermissionDenied):
        create_agent(client)
    assert create_agent(service.tenant).agent_id == "bot"


def test_srs_7_2_feedback_is_for_authenticated_users_only(service: Service, openrouter: FakeProvider) -> None:
    bot = routed(service, openrouter.url)
    decision = bot.choose()
    message = bot.record(decision_id=decision.decision_id, latency_ms=100)
    with patience.client(service.app.address, "") as nobody, pytest.raises(Unauthenticated):
        nobody.rate(message.message_id, 1.0)
    assert service.user.rate(message.message_id, 1.0).message_id == message.message_id


def test_srs_7_4_a_provider_that_fails_leaves_the_models_last_known(
    service: Service, openrouter: FakeProvider
) -> None:
    bot = routed(service, openrouter.url)
    platform = service.platform
    before = platform.catalog.ListModels(pb.ListModelsRequest(page_size=1000))
    openrouter.script(*[fail(500)] * 10)
    with pytest.raises(ImrsError):
        sync(platform)
    assert platform.admin.GetProvider(pb.GetProviderRequest(provider_id="p")).last_sync_error
    assert platform.catalog.ListModels(pb.ListModelsRequest(page_size=1000)).models == before.models
    assert bot.choose().selected.provider_id == "p"


def test_srs_7_4_without_vault_no_provider_is_called(
    service: Service, openrouter: FakeProvider, vault: Vault
) -> None:
    bot = routed(service, openrouter.url)
    asked = len(openrouter.requests)
    vault.server.seal()
    with pytest.raises(FailedPrecondition) as caught:
        sync(service.platform)
    assert caught.value.reason == "VAULT_SEALED"
    assert len(openrouter.requests) == asked
    # Route says so, and whoever wants it answers nothing at all.
    eventually(lambda: not bot.choose().selected.credentials_ok)
    policy = pb.RoutingPolicy(require_credentials=True)
    tenant = service.tenant
    tenant.admin.UpdateAgent(pb.UpdateAgentRequest(agent=pb.Agent(agent_id="bot", routing=policy)))
    service.settled(tenant)
    with pytest.raises(FailedPrecondition) as refused:
        bot.choose()
    assert refused.value.reason == "NO_ELIGIBLE_MODEL"


def test_srs_7_4_without_the_router_the_default_model_answers() -> None:
    with (
        ImrsClient("127.0.0.1:1", token="of nobody") as client,
        Replica(client, "bot", default_model="p/safe") as replica,
    ):
        decision = replica.route(message="anything")
    assert decision.selected.model_id == "p/safe"
    assert decision.stale
