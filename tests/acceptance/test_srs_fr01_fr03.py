"""Sections 3.1 to 3.3 of the SRS, row by row: providers, the catalogue, what agents may use."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from imrs_client import FailedPrecondition, ImrsClient
from imrs_client import v1 as pb
from imrs_client.ids import new_id
from imrs_server.domain.principal import Role
from tests.support import catalogue
from tests.support.provider import FakeProvider

if TYPE_CHECKING:
    from collections.abc import Iterator

    from imrs_server.embedded.openbao import OpenBao
    from tests.support.service import Service

KEY = "sk-or-v1-srs"


def item(
    name: str, price: str, context_length: int, inputs: tuple[str, ...] = ("text",)
) -> dict[str, object]:
    """A model as OpenRouter lists it; the price is that of one token."""
    return {
        "id": name,
        "name": name.title(),
        "context_length": context_length,
        "architecture": {"input_modalities": inputs, "output_modalities": ("text",)},
        "pricing": {"prompt": price, "completion": price},
        "supported_parameters": ("tools",),
    }


ITEMS = [
    item("free-one", "0", 8_000),
    item("free-two", "0", 8_000),
    item("low", "0.0000001", 32_000),
    item("standard-coder", "0.000003", 128_000),
    item("premium-seer", "0.00003", 400_000, ("text", "image", "audio")),
]


@pytest.fixture(scope="module")
def openrouter() -> Iterator[FakeProvider]:
    with FakeProvider(catalogue.openrouter_body(ITEMS)) as found:
        yield found


@pytest.fixture(scope="module")
def platform(shared_service: Service, openrouter: FakeProvider) -> ImrsClient:
    """A platform admin who has made a provider and read its models."""
    found = shared_service.platform
    provider = pb.Provider(
        provider_id="openrouter",
        display_name="OpenRouter",
        provider_type=pb.Provider.Type.OPENROUTER,
        api_base=f"{openrouter.url}/api/v1",
        models_endpoint="/models",
        api_key=KEY,
    )
    found.admin.CreateProvider(pb.CreateProviderRequest(provider=provider))
    list(found.admin.SyncProvider(pb.SyncProviderRequest(provider_id="openrouter")))
    return found


@pytest.fixture(scope="module")
def admin(shared_service: Service, platform: ImrsClient) -> ImrsClient:
    assert platform.last_revision
    return shared_service.tenant


def provider(platform: ImrsClient, provider_id: str = "openrouter") -> pb.Provider:
    return platform.admin.GetProvider(pb.GetProviderRequest(provider_id=provider_id))


def model(platform: ImrsClient, name: str) -> pb.Model:
    return platform.catalog.GetModel(pb.GetModelRequest(model_id=f"openrouter/{name}"))


def new_agent(admin: ImrsClient, agent_id: str, *names: str) -> None:
    admin.admin.CreateAgent(pb.CreateAgentRequest(agent=pb.Agent(agent_id=agent_id)))
    if names:
        model_ids = [f"openrouter/{each}" for each in names]
        admin.admin.EnableAgentModels(pb.EnableAgentModelsRequest(agent_id=agent_id, model_ids=model_ids))


def agent_models(client: ImrsClient, agent_id: str) -> dict[str, pb.AgentModel]:
    request = pb.ListAgentModelsRequest(agent_id=agent_id)
    found = client.admin.ListAgentModels(request).models
    return {each.model_id.removeprefix("openrouter/"): each for each in found}


def test_fr_01_1_providers_are_created_with_id_name_base_and_endpoint(
    platform: ImrsClient, openrouter: FakeProvider
) -> None:
    found = provider(platform)
    assert (found.provider_id, found.display_name) == ("openrouter", "OpenRouter")
    assert (found.api_base, found.models_endpoint) == (f"{openrouter.url}/api/v1", "/models")


def test_fr_01_2_keys_are_stored_in_vault_at_the_providers_path(
    platform: ImrsClient, openbao: OpenBao
) -> None:
    found = provider(platform)
    assert (found.api_key, found.api_key_vault_path) == ("", "secret/llm/openrouter")
    stored = openbao.call("GET", "secret/data/llm/openrouter", token=openbao.root_token)
    assert stored["data"]["data"]["api_key"] == KEY


@pytest.mark.parametrize("name", ["OPENROUTER", "OPENAI", "ANTHROPIC", "AZURE", "CUSTOM"])
def test_fr_01_3_the_provider_types_are_supported(platform: ImrsClient, name: str) -> None:
    wanted = pb.Provider(
        provider_id=name.lower() + "-type",
        provider_type=pb.Provider.Type.Value(name),
        api_base="https://llm.example/v1",
        models_endpoint="/models",
    )
    request = pb.CreateProviderRequest(provider=wanted, validate_only=True)
    created = platform.admin.CreateProvider(request)
    assert pb.Provider.Type.Name(created.provider_type) == name


def test_fr_01_4_models_are_synced_from_the_providers_models_endpoint(
    platform: ImrsClient, openrouter: FakeProvider
) -> None:
    seen = openrouter.requests[0]
    assert seen.path.partition("?")[0] == "/api/v1/models"
    assert seen.headers["authorization"] == f"Bearer {KEY}"
    assert provider(platform).model_count == len(ITEMS)


def test_fr_01_5_the_time_of_the_last_sync_is_tracked(platform: ImrsClient) -> None:
    before = provider(platform).last_synced_time
    *_, last = platform.admin.SyncProvider(pb.SyncProviderRequest(provider_id="openrouter"))
    after = provider(platform).last_synced_time
    assert before.ToNanoseconds() < after.ToNanoseconds()
    assert after == last.result.synced_time


def test_fr_01_6_providers_are_deactivated_and_keep_everything(
    platform: ImrsClient, admin: ImrsClient, shared_service: Service
) -> None:
    new_agent(admin, "fr-01-6", "low")
    bot = shared_service.agent("fr-01-6")
    shared_service.settled(admin)
    assert bot.choose().selected.provider_id == "openrouter"
    deleted = platform.admin.DeleteProvider(pb.DeleteProviderRequest(provider_id="openrouter"))
    assert deleted.state == pb.Provider.State.DELETED
    shared_service.settled(platform)
    with pytest.raises(FailedPrecondition):
        bot.choose()
    platform.admin.UndeleteProvider(pb.UndeleteProviderRequest(provider_id="openrouter"))
    shared_service.settled(platform)
    assert bot.choose().selected.provider_id == "openrouter"


def test_fr_02_1_models_have_an_id_a_provider_an_external_id_and_a_name(platform: ImrsClient) -> None:
    found = model(platform, "low")
    assert (found.model_id, found.provider_id) == ("openrouter/low", "openrouter")
    assert (found.external_id, found.display_name) == ("low", "Low")


def test_fr_02_2_models_have_capabilities(platform: ImrsClient) -> None:
    """All six of the SRS, told by the provider or derived from what it tells."""
    seer, coder = model(platform, "premium-seer"), model(platform, "standard-coder")
    assert {"text", "vision", "audio", "long_context", "function_calling"} <= set(seer.capabilities)
    assert {"text", "code"} <= set(coder.capabilities)


def test_fr_02_3_models_have_a_cost_tier(platform: ImrsClient) -> None:
    names = ("free-one", "low", "standard-coder", "premium-seer")
    tiers = [pb.Model.CostTier.Name(model(platform, each).cost_tier) for each in names]
    assert tiers == ["FREE", "LOW", "STANDARD", "PREMIUM"]


def test_fr_02_4_models_have_a_priority_for_routing(
    platform: ImrsClient, admin: ImrsClient, shared_service: Service
) -> None:
    new_agent(admin, "fr-02-4", "low", "standard-coder")
    bot = shared_service.agent("fr-02-4")
    assert model(platform, "standard-coder").priority == 50
    for name in ("low", "standard-coder"):
        raised = pb.Model(model_id=f"openrouter/{name}", priority=100)
        platform.catalog.UpdateModel(pb.UpdateModelRequest(model=raised))
        shared_service.settled(platform)
        assert bot.choose().selected.external_id == name
        raised.priority = 50
        platform.catalog.UpdateModel(pb.UpdateModelRequest(model=raised))


def test_fr_02_5_models_have_a_context_length(platform: ImrsClient) -> None:
    lengths = {each["id"]: model(platform, str(each["id"])).context_length for each in ITEMS}
    assert lengths == {each["id"]: each["context_length"] for each in ITEMS}


def test_fr_02_6_models_have_prices_for_a_million_tokens(platform: ImrsClient) -> None:
    found = model(platform, "standard-coder")
    assert (found.input_price_usd, found.output_price_usd) == ("3", "3")
    assert model(platform, "free-one").price_state == pb.Model.PriceState.PRICE_FREE


def test_fr_02_7_models_are_disabled_and_enabled_in_bulk_by_a_filter(platform: ImrsClient) -> None:
    free = pb.ModelFilter(cost_tier=pb.Model.CostTier.FREE)
    for available in (False, True):
        update = pb.BulkUpdateModelsRequest.Update(available=available)
        done = platform.catalog.BulkUpdateModels(pb.BulkUpdateModelsRequest(filter=free, update=update))
        assert (done.matched_count, done.updated_count) == (2, 2)
        assert model(platform, "free-one").available is available
        assert model(platform, "low").available


def test_fr_03_1_agents_are_mapped_to_models_that_are_enabled_or_not(admin: ImrsClient) -> None:
    new_agent(admin, "fr-03-1", "low", "free-one")
    found = agent_models(admin, "fr-03-1")
    assert {name: (each.agent_id, each.enabled) for name, each in found.items()} == {
        "low": ("fr-03-1", True),
        "free-one": ("fr-03-1", True),
    }
    request = pb.DisableAgentModelsRequest(agent_id="fr-03-1", model_ids=["openrouter/low"])
    assert admin.admin.DisableAgentModels(request).disabled_count == 1
    assert set(agent_models(admin, "fr-03-1")) == {"free-one"}


def test_fr_03_2_an_agent_overrides_the_priority_of_a_model(
    admin: ImrsClient, shared_service: Service
) -> None:
    new_agent(admin, "fr-03-2", "low", "standard-coder")
    bot = shared_service.agent("fr-03-2")
    for name in ("low", "standard-coder"):
        for each, priority in (("low", 10), ("standard-coder", 10), (name, 90)):
            setting = pb.AgentModel(
                agent_id="fr-03-2", model_id=f"openrouter/{each}", priority_override=priority
            )
            admin.admin.UpdateAgentModel(pb.UpdateAgentModelRequest(agent_model=setting))
        shared_service.settled(admin)
        selected = bot.choose().selected
        assert (selected.external_id, selected.priority) == (name, 90)


def test_fr_03_3_an_agent_has_the_models_of_its_tenant_alone(
    admin: ImrsClient, shared_service: Service
) -> None:
    """Two tenants have an agent of the same name, each with a model of its own."""
    tenant_id = new_id()
    other = shared_service.client(Role.TENANT_ADMIN, tenant_id=tenant_id)
    new_agent(admin, "fr-03-3", "low")
    new_agent(other, "fr-03-3", "free-one")
    shared_service.settled(other)
    one = shared_service.agent("fr-03-3")
    two = shared_service.client(Role.AGENT, tenant_id=tenant_id, agent_id="fr-03-3")
    assert [each.choose().selected.external_id for each in (one, two)] == ["low", "free-one"]
    assert [set(agent_models(each, "fr-03-3")) for each in (one, two)] == [{"low"}, {"free-one"}]


def test_fr_03_4_the_capsule_restricts_models_by_role(admin: ImrsClient, shared_service: Service) -> None:
    """Premium models for admins, free ones for all."""
    new_agent(admin, "fr-03-4", "premium-seer", "free-one")
    agent = pb.Agent(agent_id="fr-03-4")
    agent.capsule.update({"body": {"allowed_models": {"admin": ["premium-*"], "member": ["free-*"]}}})
    admin.admin.UpdateAgent(pb.UpdateAgentRequest(agent=agent))
    shared_service.settled(admin)
    bot = shared_service.agent("fr-03-4")
    assert bot.choose(roles=["admin"]).selected.external_id == "premium-seer"
    assert bot.choose(roles=["member"]).selected.external_id == "free-one"
    with pytest.raises(FailedPrecondition) as caught:
        bot.choose(roles=["guest"])
    assert caught.value.reason == "NO_ELIGIBLE_MODEL"


def test_fr_03_5_enabling_and_disabling_is_audited_with_who_and_when(admin: ImrsClient) -> None:
    new_agent(admin, "fr-03-5", "low")
    admin.admin.DisableAgentModels(
        pb.DisableAgentModelsRequest(agent_id="fr-03-5", model_ids=["openrouter/low"])
    )
    request = pb.ListAuditEventsRequest(target_type="agent", target_id="fr-03-5")
    disabled, enabled, _ = admin.admin.ListAuditEvents(request).audit_events
    methods = ("AdminService/DisableAgentModels", "AdminService/EnableAgentModels")
    assert (disabled.method, enabled.method) == methods
    assert {disabled.actor, enabled.actor} == {str(Role.TENANT_ADMIN)}
    assert "openrouter/low" in json.dumps(dict(enabled.after.items()), default=list)

    listing = pb.ListAgentModelsRequest(agent_id="fr-03-5", effective=True)
    (row,) = admin.admin.ListAgentModels(listing).models
    assert (row.enabled, row.enabled_by) == (False, str(Role.TENANT_ADMIN))
    assert row.enabled_time.ToNanoseconds() <= enabled.create_time.ToNanoseconds()
