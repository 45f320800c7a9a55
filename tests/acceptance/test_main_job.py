"""The main job, end to end: provider, key, sync, agent, decision, rating, another decision."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from imrs_client import FailedPrecondition, ImrsClient
from imrs_client.v1 import (
    Agent,
    CandidateReport,
    CreateAgentRequest,
    CreateProviderRequest,
    Decision,
    DetectTaskRequest,
    EnableAgentModelsRequest,
    Feedback,
    ListAgentModelsRequest,
    ListPerformanceRequest,
    Model,
    ModelFilter,
    Provider,
    RouteRequest,
    RoutingPolicy,
    SyncProviderRequest,
    SyncResult,
    TaskDetection,
    UpdateModelRequest,
    UpdateProviderRequest,
)
from tests.support import catalogue
from tests.support.provider import FakeProvider
from tests.support.waiting import eventually

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.service import Service

KEY = "sk-or-v1-a-key-that-must-not-leak"
# Models that nothing tells apart would take turns.
STEADY = RoutingPolicy(exploration=RoutingPolicy.Exploration.OFF)


@pytest.fixture(scope="module")
def openrouter() -> Iterator[FakeProvider]:
    with FakeProvider(catalogue.openrouter_body()) as found:
        yield found


def sync(platform: ImrsClient, provider_id: str) -> SyncResult:
    *_, last = platform.admin.SyncProvider(SyncProviderRequest(provider_id=provider_id))
    return last.result


def test_from_a_key_to_a_better_decision(service: Service, openrouter: FakeProvider) -> None:
    """The SRS's E2E flow: create provider -> enable models -> chat -> feedback -> the ranking changes."""
    platform, tenant = service.platform, service.tenant
    created = platform.admin.CreateProvider(
        CreateProviderRequest(
            provider=Provider(
                provider_id="openrouter",
                provider_type=Provider.Type.OPENROUTER,
                api_base=openrouter.url,
                api_key=KEY,
            )
        )
    )
    assert (created.api_key, created.api_key_vault_path) == ("", "secret/llm/openrouter")
    assert created.credentials_ok

    first = sync(platform, "openrouter")
    assert first.models_added == first.models_discovered - first.models_invalid > 4000
    assert any(each.headers.get("authorization") == f"Bearer {KEY}" for each in openrouter.requests)
    again = sync(platform, "openrouter")
    assert (again.models_added, again.models_updated) == (0, 0)
    assert again.models_unchanged == first.models_added

    agent = Agent(agent_id="coder", routing=STEADY)
    tenant.admin.CreateAgent(CreateAgentRequest(agent=agent))
    free = ModelFilter(provider_id="openrouter", cost_tier=Model.CostTier.FREE, model_type=Model.Type.CHAT)
    enabled = tenant.admin.EnableAgentModels(EnableAgentModelsRequest(agent_id="coder", filter=free))
    assert enabled.enabled_count > 10
    listed = tenant.admin.ListAgentModels(ListAgentModelsRequest(agent_id="coder"))
    assert listed.total_enabled == enabled.enabled_count

    bot, user = service.agent("coder"), service.user
    request = RouteRequest(message="Write a Python function", min_revision=tenant.last_revision)
    service.settled(tenant)
    one = bot.route.Route(request)
    assert one.task.task_type == "code"
    assert one.selected.model_id in enabled.model_ids
    assert one.selected.cost_tier == Model.CostTier.FREE
    assert one.candidates_total == enabled.enabled_count
    assert len(one.fallbacks) == 3

    message = bot.record(decision_id=one.decision_id, latency_ms=900, prompt_tokens=10, completion_tokens=20)
    assert (message.model_id, message.task_type) == (one.selected.model_id, "code")
    rated = user.rate(message.message_id, signal=Feedback.Signal.THUMBS_DOWN)
    assert (rated.rating, rated.model_id) == (0.0, one.selected.model_id)

    two = changed_answer(bot, request, one)
    assert two.selected.model_id != one.selected.model_id
    assert two.reason == Decision.Reason.SCORE

    explained = bot.route.ExplainRoute(RouteRequest(task_type="code"))
    reports = {each.model_id: each for each in explained.candidates}
    assert reports[one.selected.model_id].rating_count == 1
    assert reports[one.selected.model_id].score < reports[two.selected.model_id].score
    performance = tenant.feedback.ListPerformance(ListPerformanceRequest(task_type="code", agent_id="coder"))
    assert [(each.model_id, each.avg_rating, each.rating_count) for each in performance.performance] == [
        (one.selected.model_id, 0.0, 1)
    ]


def changed_answer(bot: ImrsClient, request: RouteRequest, before: Decision) -> Decision:
    """The first answer that differs; it must come soon after the rating was acknowledged."""
    decision = before

    def changed() -> bool:
        nonlocal decision
        decision = bot.route.Route(request)
        return decision.selected.model_id != before.selected.model_id

    eventually(changed)
    return decision


def test_a_disabled_provider_leaves_at_once_and_comes_back_unchanged(
    service: Service, openrouter: FakeProvider
) -> None:
    platform, tenant = service.platform, service.tenant
    bot = furnished(service, openrouter)
    before = bot.route.Route(RouteRequest())
    provider = Provider(provider_id="openrouter", state=Provider.State.DISABLED)
    platform.admin.UpdateProvider(UpdateProviderRequest(provider=provider))
    service.settled(platform)
    explained = bot_refused(bot)
    assert explained == {"PROVIDER": str(before.candidates_total)}
    provider.state = Provider.State.ACTIVE
    platform.admin.UpdateProvider(UpdateProviderRequest(provider=provider))
    service.settled(platform)
    after = bot.route.Route(RouteRequest())
    assert after.selected.model_id == before.selected.model_id
    assert after.candidates_eligible == before.candidates_eligible
    assert tenant.last_revision < platform.last_revision


def bot_refused(bot: ImrsClient) -> dict[str, str]:
    """Which filter removed how many."""
    with pytest.raises(FailedPrecondition) as caught:
        bot.route.Route(RouteRequest())
    assert caught.value.reason == "NO_ELIGIBLE_MODEL"
    return {name: value for name, value in caught.value.metadata.items() if name.isupper()}


def furnished(service: Service, openrouter: FakeProvider) -> ImrsClient:
    """A provider with models, an agent that may use the free ones; returns the agent's client."""
    platform, tenant = service.platform, service.tenant
    provider = Provider(
        provider_id="openrouter",
        provider_type=Provider.Type.OPENROUTER,
        api_base=openrouter.url,
        api_key=KEY,
    )
    platform.admin.CreateProvider(CreateProviderRequest(provider=provider))
    sync(platform, "openrouter")
    tenant.admin.CreateAgent(CreateAgentRequest(agent=Agent(agent_id="coder", routing=STEADY)))
    free = ModelFilter(cost_tier=Model.CostTier.FREE, model_type=Model.Type.CHAT)
    tenant.admin.EnableAgentModels(EnableAgentModelsRequest(agent_id="coder", filter=free))
    service.settled(tenant)
    return service.agent("coder")


def test_priority_decides_before_any_rating(service: Service, openrouter: FakeProvider) -> None:
    platform = service.platform
    bot = furnished(service, openrouter)
    last = bot.route.ExplainRoute(RouteRequest()).candidates[-1].model_id
    platform.catalog.UpdateModel(UpdateModelRequest(model=Model(model_id=last, priority=90)))
    service.settled(platform)
    assert bot.route.Route(RouteRequest()).selected.model_id == last


def test_what_is_asked_of_a_model_is_filtered_and_explained(
    service: Service, openrouter: FakeProvider
) -> None:
    bot = furnished(service, openrouter)
    request = RouteRequest(required_capabilities=["vision"], min_context_length=100_000)
    explained = bot.route.ExplainRoute(request)
    removed = {each.removed_by for each in explained.candidates if not each.eligible}
    assert removed <= {CandidateReport.RemovedBy.CAPABILITY, CandidateReport.RemovedBy.CONTEXT}
    assert CandidateReport.RemovedBy.CAPABILITY in removed
    eligible = [each.model_id for each in explained.candidates if each.eligible]
    assert len(eligible) == explained.candidates_eligible
    assert bot.route.Route(request).selected.model_id in eligible


def test_task_detection_by_tool_mime_and_word(service: Service, openrouter: FakeProvider) -> None:
    bot = furnished(service, openrouter)
    found = bot.route.DetectTask(DetectTaskRequest(message="make slides", tools_used=["code_execute"]))
    assert (found.task_type, found.source) == ("code", TaskDetection.Source.TOOL)
    assert found.confidence == TaskDetection.Confidence.HIGH
    assert list(found.alternatives) == ["slides"]
    found = bot.route.DetectTask(DetectTaskRequest(message="a PowerPoint about cats"))
    assert (found.task_type, found.confidence) == ("slides", TaskDetection.Confidence.MEDIUM)
