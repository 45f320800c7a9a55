"""Keys over the API: an agent's own, rotated, gone from Vault and back, and Vault away."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from imrs_client import FailedPrecondition, ImrsClient, NotFound
from imrs_client.v1 import (
    Agent,
    CreateAgentRequest,
    CreateProviderRequest,
    Decision,
    DeleteAgentKeyRequest,
    EnableAgentModelsRequest,
    GetProviderRequest,
    ListProvidersRequest,
    Model,
    ModelFilter,
    Provider,
    RotateProviderKeyRequest,
    RouteRequest,
    RoutingPolicy,
    SetAgentKeyRequest,
    SyncProviderRequest,
    UpdateAgentRequest,
)
from imrs_server.adapters import vault as vault_module
from imrs_server.domain.principal import Role
from tests.support import catalogue, patience
from tests.support.provider import FakeProvider
from tests.support.schema import ELSEWHERE
from tests.support.waiting import eventually

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.conftest import Vault
    from tests.support.service import Service

FREE = ModelFilter(cost_tier=Model.CostTier.FREE, model_type=Model.Type.CHAT)


@pytest.fixture
def upstream() -> Iterator[FakeProvider]:
    with FakeProvider(catalogue.openrouter_body()) as found:
        yield found


@pytest.fixture
def patient_vault(monkeypatch: pytest.MonkeyPatch) -> None:
    """A look of the server at Vault waits long, so that none fails."""
    monkeypatch.setattr(vault_module, "VaultTiming", lambda: patience.VAULT)


# Models that nothing tells apart would take turns.
STEADY = RoutingPolicy(exploration=RoutingPolicy.Exploration.OFF)


def furnish(service: Service, upstream: FakeProvider) -> ImrsClient:
    """A synced provider, and the agent ``coder`` that may use its free models; returns the agent's client."""
    platform, tenant = service.platform, service.tenant
    provider = Provider(
        provider_id="openrouter",
        provider_type=Provider.Type.OPENROUTER,
        api_base=upstream.url,
        api_key="sk-shared",
    )
    platform.admin.CreateProvider(CreateProviderRequest(provider=provider))
    list(platform.admin.SyncProvider(SyncProviderRequest(provider_id="openrouter")))
    tenant.admin.CreateAgent(CreateAgentRequest(agent=Agent(agent_id="coder", routing=STEADY)))
    tenant.admin.EnableAgentModels(EnableAgentModelsRequest(agent_id="coder", filter=FREE))
    service.settled(tenant)
    return service.agent("coder")


def require_credentials(service: Service) -> None:
    tenant = service.tenant
    routing = RoutingPolicy(exploration=STEADY.exploration, require_credentials=True)
    agent = Agent(agent_id="coder", routing=routing)
    tenant.admin.UpdateAgent(UpdateAgentRequest(agent=agent))
    service.settled(tenant)


def root(vault: Vault, method: str, path: str, body: dict[str, object] | None = None) -> None:
    vault.server.call(method, path, body, token=vault.server.root_token)


def ok(bot: ImrsClient) -> bool:
    return bot.route.Route(RouteRequest()).selected.credentials_ok


def test_an_agents_own_key_is_named_by_route_and_taken_away_again(
    service: Service, upstream: FakeProvider
) -> None:
    bot, tenant = furnish(service, upstream), service.tenant
    assert bot.route.Route(RouteRequest()).selected.api_key_vault_path == "secret/llm/openrouter"

    request = SetAgentKeyRequest(agent_id="coder", provider_id="openrouter", api_key="sk-own")
    tenant.admin.SetAgentKey(request)
    service.settled(tenant)

    selected = bot.route.Route(RouteRequest()).selected
    own = f"llm/openrouter/agents/{service.tenant_id}/coder"
    assert (selected.api_key_vault_path, selected.credentials_ok) == (f"secret/{own}", True)
    assert [str(each) for each in service.app.vault.paths()] == ["llm/openrouter", own]

    for _ in range(2):  # there need not be one
        delete = DeleteAgentKeyRequest(agent_id="coder", provider_id="openrouter")
        tenant.admin.DeleteAgentKey(delete)
    service.settled(tenant)
    assert bot.route.Route(RouteRequest()).selected.api_key_vault_path == "secret/llm/openrouter"
    assert [str(each) for each in service.app.vault.paths()] == ["llm/openrouter"]


def test_an_agents_key_needs_the_agent_of_the_own_tenant_and_the_provider(
    service: Service, upstream: FakeProvider
) -> None:
    furnish(service, upstream)
    stranger = service.client(Role.TENANT_ADMIN, tenant_id=ELSEWHERE)
    for client, provider_id, reason in (
        (stranger, "openrouter", "AGENT_NOT_FOUND"),
        (service.tenant, "nobody", "PROVIDER_NOT_FOUND"),
    ):
        request = SetAgentKeyRequest(agent_id="coder", provider_id=provider_id, api_key="sk-own")
        with pytest.raises(NotFound) as caught:
            client.admin.SetAgentKey(request)
        assert caught.value.reason == reason
    assert [str(each) for each in service.app.vault.paths()] == ["llm/openrouter"]


@pytest.mark.usefixtures("patient_vault")
def test_an_agent_with_a_key_of_its_own_does_not_need_the_providers(
    service: Service, upstream: FakeProvider, vault: Vault
) -> None:
    bot, tenant = furnish(service, upstream), service.tenant
    require_credentials(service)
    request = SetAgentKeyRequest(agent_id="coder", provider_id="openrouter", api_key="sk-own")
    tenant.admin.SetAgentKey(request)
    service.settled(tenant)
    root(vault, "DELETE", "secret/metadata/llm/openrouter")

    eventually(lambda: not credentials_ok(service))
    assert ok(bot)

    # An own key that is gone is not replaced by somebody else's.
    service.platform.admin.RotateProviderKey(
        RotateProviderKeyRequest(provider_id="openrouter", api_key="sk-again")
    )
    root(vault, "DELETE", f"secret/metadata/llm/openrouter/agents/{service.tenant_id}/coder")
    eventually(lambda: refused(bot))


def refused(bot: ImrsClient) -> bool:
    """Whether Route has no model left because of keys."""
    try:
        bot.route.Route(RouteRequest())
    except FailedPrecondition as error:
        return error.reason == "NO_ELIGIBLE_MODEL" and "CREDENTIALS" in error.metadata
    return False


def credentials_ok(service: Service) -> bool:
    """As both methods of the admin show it."""
    admin = service.platform.admin
    request = GetProviderRequest(provider_id="openrouter")
    before = admin.GetProvider(request).credentials_ok
    (listed,) = admin.ListProviders(ListProvidersRequest()).providers
    after = admin.GetProvider(request).credentials_ok
    # The view of Vault may turn between two calls.
    assert listed.credentials_ok in (before, after)
    return after


def test_a_key_deleted_or_put_back_in_vault_itself_is_seen(
    service: Service, upstream: FakeProvider, vault: Vault
) -> None:
    bot = furnish(service, upstream)
    eventually(lambda: ok(bot))
    before = bot.route.Route(RouteRequest())

    for method, path in (("DELETE", "secret/data/llm/openrouter"), ("PUT", "secret/undelete/llm/openrouter")):
        good = method == "PUT"
        root(vault, method, path, {"versions": [1]} if good else None)
        eventually(lambda good=good: ok(bot) == good)  # type: ignore[misc]
        eventually(lambda good=good: credentials_ok(service) == good)  # type: ignore[misc]

    root(vault, "DELETE", "secret/metadata/llm/openrouter")
    eventually(lambda: not ok(bot))
    root(vault, "POST", "secret/data/llm/openrouter", {"data": {"api_key": "sk-by-hand"}})
    eventually(lambda: ok(bot))
    after = bot.route.Route(RouteRequest())
    assert after.selected == before.selected


def test_a_key_put_into_vault_by_hand_serves_a_provider_that_was_created_without_one(
    service: Service, upstream: FakeProvider, vault: Vault
) -> None:
    provider = Provider(
        provider_id="openrouter", provider_type=Provider.Type.OPENROUTER, api_base=upstream.url
    )
    service.platform.admin.CreateProvider(CreateProviderRequest(provider=provider))
    assert not credentials_ok(service)
    root(vault, "POST", "secret/data/llm/openrouter", {"data": {"api_key": "sk-by-hand"}})
    eventually(lambda: credentials_ok(service))
    list(service.platform.admin.SyncProvider(SyncProviderRequest(provider_id="openrouter")))
    assert upstream.requests[-1].headers["authorization"] == "Bearer sk-by-hand"


@pytest.mark.parametrize("outage", ["sealed", "stopped"])
def test_route_answers_with_vault_away_and_says_so(
    service: Service, upstream: FakeProvider, vault: Vault, outage: str
) -> None:
    bot = furnish(service, upstream)
    before: Decision = bot.route.Route(RouteRequest())

    vault.server.seal() if outage == "sealed" else vault.server.stop()
    eventually(lambda: not ok(bot))
    during = bot.route.Route(RouteRequest())
    assert during.selected.model_id == before.selected.model_id
    assert not credentials_ok(service)
    require_credentials(service)
    assert refused(bot)

    if outage == "stopped":
        vault.server.start()
    vault.server.unseal()
    eventually(lambda: not refused(bot))
    eventually(lambda: ok(bot))
    eventually(lambda: credentials_ok(service))


def test_a_rotated_key_serves_the_next_call_without_a_restart(
    service: Service, upstream: FakeProvider
) -> None:
    platform = service.platform
    furnish(service, upstream)
    assert upstream.requests[-1].headers["authorization"] == "Bearer sk-shared"
    rotate = RotateProviderKeyRequest(provider_id="openrouter", api_key="sk-rotated")
    platform.admin.RotateProviderKey(rotate)
    list(platform.admin.SyncProvider(SyncProviderRequest(provider_id="openrouter")))
    assert upstream.requests[-1].headers["authorization"] == "Bearer sk-rotated"
