"""A small valid request for every method of the API, and a world to make it in."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import count
from typing import TYPE_CHECKING, Any
from uuid import UUID, uuid4

from google.protobuf import duration_pb2

from imrs_client import ImrsClient
from imrs_client import v1 as pb
from imrs_client.ids import new_id
from imrs_server.domain.principal import Role

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.support.provider import FakeProvider
    from tests.support.service import Service

MODELS = ("p/m1", "p/m2", "p/m3")
CATALOGUE = b'{"data": [{"id": "m1"}, {"id": "m2"}, {"id": "m3"}]}'
VECTORS = b'{"data": [{"index": 0, "embedding": [0.5, -0.5]}], "usage": {"prompt_tokens": 1}}'
EMBEDS = "p/embeds"
ANSWER = b'{"choices": [{"message": {"role": "assistant", "content": "Hi"}, "finish_reason": "stop"}]}'


@dataclass(frozen=True, slots=True, kw_only=True)
class Names:
    """Ids in a tenant, as somebody may hold them who has no right to them."""

    agent_id: str
    rule_id: str
    decision_id: str
    message_id: str
    feedback_id: str
    token_id: str
    budget_id: str

    def new_agent(self, *, deleted: bool = False, pinned: bool = False, keyed: bool = False) -> str:
        return self.agent_id

    def new_rule(self, agent_id: str) -> str:
        return self.rule_id

    def new_vote(self) -> str:
        return self.feedback_id

    def new_file(self) -> str:
        return "a file"

    def new_token(self) -> str:
        return self.token_id

    def new_budget(self) -> str:
        return self.budget_id


@dataclass(frozen=True, slots=True, kw_only=True)
class Home(Names):
    """A tenant with an agent that has made a call, which was rated. New things are made when asked for."""

    admin: ImrsClient
    tenant_id: UUID

    def new_agent(self, *, deleted: bool = False, pinned: bool = False, keyed: bool = False) -> str:
        """Another agent, with the first model and a rule."""
        agent_id = f"agent-{next(_numbers)}"
        self.admin.admin.CreateAgent(pb.CreateAgentRequest(agent=pb.Agent(agent_id=agent_id)))
        self.new_rule(agent_id)
        if deleted:
            self.admin.admin.DeleteAgent(pb.DeleteAgentRequest(agent_id=agent_id))
        if pinned:
            pin = pb.SetModelOverrideRequest(agent_id=agent_id, model_id=MODELS[0])
            self.admin.admin.SetModelOverride(pin)
        if keyed:
            key = pb.SetAgentKeyRequest(agent_id=agent_id, provider_id="p", api_key="own key")
            self.admin.admin.SetAgentKey(key)
        return agent_id

    def new_rule(self, agent_id: str) -> str:
        request = pb.EnableAgentModelsRequest(
            agent_id=agent_id,
            model_ids=MODELS[:1],
            filter=pb.ModelFilter(search=f"nothing {next(_numbers)}"),
            standing=True,
        )
        return self.admin.admin.EnableAgentModels(request).rule.rule_id

    def new_file(self) -> str:
        """The name of a file that was applied."""
        source = f"file-{next(_numbers)}"
        self.admin.admin.ApplyConfig(pb.ApplyConfigRequest(yaml=f"agents: {{{source}: }}", source=source))
        return source

    def new_token(self) -> str:
        return self.admin.admin.IssueToken(pb.IssueTokenRequest(roles=["user"], subject="ann")).token_id

    def new_vote(self) -> str:
        return self.admin.rate(self.message_id, 1.0, user_id="user").feedback_id

    def new_budget(self) -> str:
        request = pb.SetBudgetRequest(budget=_budget(self.new_agent()))
        return self.admin.admin.SetBudget(request).budget_id


_numbers = count(1)


def furnish(service: Service, provider: FakeProvider) -> None:
    """A provider ``p`` with three models that answer, and a preference."""
    provider.page("/chat/completions", ANSWER)
    provider.page("/embeddings", VECTORS)
    platform = service.platform
    platform.admin.CreateProvider(
        pb.CreateProviderRequest(
            provider=pb.Provider(
                provider_id="p",
                provider_type=pb.Provider.Type.CUSTOM,
                api_base=provider.url,
                models_endpoint="/models",
                api_key="a key of p",
            )
        )
    )
    for model_id in MODELS:
        new_model(platform, model_id.removeprefix("p/"))
    new_model(platform, EMBEDS.removeprefix("p/"), pb.Model.Type.EMBEDDING)
    preference = pb.Preference(agent_class="known", model_ids=MODELS[:1])
    platform.admin.SetPreference(pb.SetPreferenceRequest(preference=preference))


def new_model(
    platform: ImrsClient, external_id: str, model_type: pb.Model.Type.ValueType = pb.Model.Type.CHAT
) -> str:
    model = pb.Model(
        provider_id="p",
        external_id=external_id,
        model_type=model_type,
        price_state=pb.Model.PriceState.PRICE_FREE,
    )
    return platform.catalog.CreateModel(pb.CreateModelRequest(model=model)).model_id


def settle(service: Service, tenant_id: UUID, *, agent_id: str = "bot", mark: str = "") -> Home:
    """Make a tenant at home; ``mark`` goes wherever the tenant may write what it likes."""
    admin = service.client(Role.TENANT_ADMIN, tenant_id=tenant_id)
    agent = pb.Agent(
        agent_id=agent_id,
        display_name=mark,
        agent_class=mark,
        use_case=mark,
        tags=[mark] if mark else [],
        labels={mark: mark} if mark else {},
        parameters=pb.Parameters(stop=pb.StringList(values=[mark])) if mark else None,
    )
    agent.metadata.update({"mark": mark})
    admin.admin.CreateAgent(pb.CreateAgentRequest(agent=agent))
    admin.admin.EnableAgentModels(
        pb.EnableAgentModelsRequest(agent_id=agent_id, model_ids=[*MODELS[:2], EMBEDS])
    )
    standing = pb.EnableAgentModelsRequest(
        agent_id=agent_id, filter=pb.ModelFilter(search=mark or "nothing"), standing=True
    )
    rule_id = admin.admin.EnableAgentModels(standing).rule.rule_id
    setting = pb.AgentModel(agent_id=agent_id, model_id=MODELS[0], allowed_roles=[mark] if mark else [])
    setting.metadata.update({"mark": mark})
    admin.admin.UpdateAgentModel(pb.UpdateAgentModelRequest(agent_model=setting))
    service.settled(admin)
    bot = service.client(Role.AGENT, tenant_id=tenant_id, agent_id=agent_id)
    decision = bot.route.Route(
        pb.RouteRequest(task_type=mark.lower() or "code", request_id=mark, conversation_id=mark)
    )
    message_id = str(uuid4())
    bot.record(
        message_id=message_id,
        decision_id=decision.decision_id,
        tools_used=[mark] if mark else [],
        conversation_id=mark,
    )
    token = pb.IssueTokenRequest(roles=["user"], subject=mark or "ann")
    token_id = admin.admin.IssueToken(token).token_id
    budget_id = admin.admin.SetBudget(pb.SetBudgetRequest(budget=_budget(agent_id))).budget_id
    vote = admin.rate(message_id, 0.5, user_id=mark or "u", comment=mark)
    return Home(
        admin=admin,
        tenant_id=tenant_id,
        agent_id=agent_id,
        rule_id=rule_id,
        decision_id=decision.decision_id,
        message_id=message_id,
        feedback_id=vote.feedback_id,
        token_id=token_id,
        budget_id=budget_id,
    )


def bearer(request: Any) -> Any:
    """The part of a request that names the tenant; None where nothing does."""
    if "tenant_id" in request.DESCRIPTOR.fields_by_name:
        return request
    for name in ("requests", "route"):
        if name in request.DESCRIPTOR.fields_by_name:
            part = getattr(request, name)
            return part[0] if name == "requests" else part
    return None


def request_of(name: str, home: Names, platform: ImrsClient) -> Any:
    """A small valid request, about things of this tenant that are made for it where it would use them up."""
    return _REQUESTS[name](home, platform)


def _provider(platform: ImrsClient) -> str:
    provider_id = f"p-{next(_numbers)}"
    platform.admin.CreateProvider(
        pb.CreateProviderRequest(
            provider=pb.Provider(
                provider_id=provider_id,
                provider_type=pb.Provider.Type.OLLAMA,
                api_base="http://127.0.0.1:9",
            )
        )
    )
    return provider_id


def _class(platform: ImrsClient) -> str:
    name = f"class-{next(_numbers)}"
    preference = pb.Preference(agent_class=name, model_ids=MODELS[:1])
    platform.admin.SetPreference(pb.SetPreferenceRequest(preference=preference))
    return name


def _budget(agent_id: str) -> pb.Budget:
    return pb.Budget(agent_id=agent_id, limit_usd="1", window=duration_pb2.Duration(seconds=3600))


def _endpoint() -> pb.Endpoint:
    """Of a model that is always loaded, and that nobody uses."""
    number = next(_numbers)
    return pb.Endpoint(
        endpoint_id=f"endpoint-{number}", model_id=MODELS[2], base_url=f"http://127.0.0.1:9/{number}"
    )


def _new_endpoint(platform: ImrsClient) -> str:
    return platform.admin.SetEndpoint(pb.SetEndpointRequest(endpoint=_endpoint())).endpoint_id


def _cold_endpoint(platform: ImrsClient) -> str:
    """Of a pool whose manager is away, so that nothing is learned of it by itself."""
    provider = pb.Provider(
        provider_id=f"p-{next(_numbers)}",
        provider_type=pb.Provider.Type.CUSTOM,
        dialect="vllm",
        api_base="http://127.0.0.1:9",
        pool_url="http://127.0.0.1:9",
    )
    platform.admin.CreateProvider(pb.CreateProviderRequest(provider=provider))
    model = pb.Model(provider_id=provider.provider_id, external_id="m")
    model_id = platform.catalog.CreateModel(pb.CreateModelRequest(model=model)).model_id
    endpoint = pb.Endpoint(model_id=model_id, base_url="http://127.0.0.1:9")
    return platform.admin.SetEndpoint(pb.SetEndpointRequest(endpoint=endpoint)).endpoint_id


_REQUESTS: dict[str, Callable[[Names, ImrsClient], Any]] = {
    "AdminService/CreateProvider": lambda _h, _p: pb.CreateProviderRequest(
        provider=pb.Provider(
            provider_id=f"p-{next(_numbers)}",
            provider_type=pb.Provider.Type.OLLAMA,
            api_base="http://127.0.0.1:9",
        )
    ),
    "AdminService/GetProvider": lambda _h, _p: pb.GetProviderRequest(provider_id="p"),
    "AdminService/ListProviders": lambda _h, _p: pb.ListProvidersRequest(),
    "AdminService/UpdateProvider": lambda _h, _p: pb.UpdateProviderRequest(
        provider=pb.Provider(provider_id="p", display_name=f"P {next(_numbers)}")
    ),
    "AdminService/DeleteProvider": lambda _h, p: pb.DeleteProviderRequest(provider_id=_provider(p)),
    "AdminService/UndeleteProvider": lambda _h, p: _deleted_provider(p),
    "AdminService/RotateProviderKey": lambda _h, _p: pb.RotateProviderKeyRequest(
        provider_id="p", api_key=f"key {next(_numbers)}"
    ),
    "AdminService/CheckProvider": lambda _h, _p: pb.CheckProviderRequest(provider_id="p"),
    "AdminService/SyncProvider": lambda _h, _p: pb.SyncProviderRequest(provider_id="p", force=True),
    "AdminService/RevertSync": lambda _h, p: _synced(p),
    "AdminService/SetTenant": lambda _h, _p: pb.SetTenantRequest(
        tenant=pb.Tenant(tenant_id=str(uuid4()), display_name="New")
    ),
    "AdminService/ListTenants": lambda _h, _p: pb.ListTenantsRequest(),
    "AdminService/IssueToken": lambda _h, _p: pb.IssueTokenRequest(roles=["user"], subject="ann"),
    "AdminService/ListTokens": lambda _h, _p: pb.ListTokensRequest(),
    "AdminService/RevokeToken": lambda h, _p: pb.RevokeTokenRequest(token_id=h.new_token()),
    "AdminService/CreateAgent": lambda _h, _p: pb.CreateAgentRequest(
        agent=pb.Agent(agent_id=f"agent-{next(_numbers)}")
    ),
    "AdminService/GetAgent": lambda h, _p: pb.GetAgentRequest(agent_id=h.agent_id),
    "AdminService/ListAgents": lambda _h, _p: pb.ListAgentsRequest(),
    "AdminService/UpdateAgent": lambda h, _p: pb.UpdateAgentRequest(
        agent=pb.Agent(agent_id=h.new_agent(), display_name="Renamed")
    ),
    "AdminService/DeleteAgent": lambda h, _p: pb.DeleteAgentRequest(agent_id=h.new_agent()),
    "AdminService/UndeleteAgent": lambda h, _p: pb.UndeleteAgentRequest(agent_id=h.new_agent(deleted=True)),
    "AdminService/CloneAgent": lambda h, _p: pb.CloneAgentRequest(
        agent_id=h.agent_id, new_agent_id=f"agent-{next(_numbers)}"
    ),
    "AdminService/ListAgentModels": lambda h, _p: pb.ListAgentModelsRequest(agent_id=h.agent_id),
    "AdminService/EnableAgentModels": lambda h, _p: pb.EnableAgentModelsRequest(
        agent_id=h.new_agent(), model_ids=MODELS
    ),
    "AdminService/DisableAgentModels": lambda h, _p: pb.DisableAgentModelsRequest(
        agent_id=h.new_agent(), all=True
    ),
    "AdminService/UpdateAgentModel": lambda h, _p: pb.UpdateAgentModelRequest(
        agent_model=pb.AgentModel(agent_id=h.new_agent(), model_id=MODELS[0], priority_override=7)
    ),
    "AdminService/ListAgentRules": lambda h, _p: pb.ListAgentRulesRequest(agent_id=h.agent_id),
    "AdminService/DeleteAgentRule": lambda h, _p: pb.DeleteAgentRuleRequest(
        agent_id=h.agent_id, rule_id=h.new_rule(h.agent_id)
    ),
    "AdminService/SetModelOverride": lambda h, _p: pb.SetModelOverrideRequest(
        agent_id=h.new_agent(), model_id=MODELS[0]
    ),
    "AdminService/ClearModelOverride": lambda h, _p: pb.ClearModelOverrideRequest(
        agent_id=h.new_agent(pinned=True)
    ),
    "AdminService/SetAgentKey": lambda h, _p: pb.SetAgentKeyRequest(
        agent_id=h.new_agent(), provider_id="p", api_key="own key"
    ),
    "AdminService/DeleteAgentKey": lambda h, _p: pb.DeleteAgentKeyRequest(
        agent_id=h.new_agent(keyed=True), provider_id="p"
    ),
    "AdminService/SetPreference": lambda _h, _p: pb.SetPreferenceRequest(
        preference=pb.Preference(agent_class=f"class-{next(_numbers)}", model_ids=MODELS[:1])
    ),
    "AdminService/GetPreference": lambda _h, _p: pb.GetPreferenceRequest(agent_class="known"),
    "AdminService/ListPreferences": lambda _h, _p: pb.ListPreferencesRequest(),
    "AdminService/DeletePreference": lambda _h, p: pb.DeletePreferenceRequest(agent_class=_class(p)),
    "AdminService/SetEndpoint": lambda _h, _p: pb.SetEndpointRequest(endpoint=_endpoint()),
    "AdminService/ListEndpoints": lambda _h, _p: pb.ListEndpointsRequest(),
    "AdminService/DeleteEndpoint": lambda _h, p: pb.DeleteEndpointRequest(endpoint_id=_new_endpoint(p)),
    "AdminService/LoadEndpoint": lambda _h, p: pb.LoadEndpointRequest(endpoint_id=_new_endpoint(p)),
    "AdminService/UnloadEndpoint": lambda _h, p: pb.UnloadEndpointRequest(endpoint_id=_cold_endpoint(p)),
    "AdminService/GetDefaults": lambda _h, _p: pb.GetDefaultsRequest(scope=pb.Defaults.Scope.TENANT),
    "AdminService/UpdateDefaults": lambda _h, _p: pb.UpdateDefaultsRequest(
        defaults=pb.Defaults(scope=pb.Defaults.Scope.TENANT, default_model_id=MODELS[0])
    ),
    "AdminService/SetBudget": lambda h, _p: pb.SetBudgetRequest(budget=_budget(h.new_agent())),
    "AdminService/ListBudgets": lambda _h, _p: pb.ListBudgetsRequest(),
    "AdminService/DeleteBudget": lambda h, _p: pb.DeleteBudgetRequest(budget_id=h.new_budget()),
    "AdminService/ApplyConfig": lambda _h, _p: pb.ApplyConfigRequest(
        yaml=f"agents: {{configured-{next(_numbers)}: {{}}}}\n"
    ),
    "AdminService/UndoConfig": lambda h, _p: pb.UndoConfigRequest(source=h.new_file()),
    "AdminService/ExportConfig": lambda _h, _p: pb.ExportConfigRequest(),
    "AdminService/ListAuditEvents": lambda _h, _p: pb.ListAuditEventsRequest(),
    "AdminService/GetStatus": lambda _h, _p: pb.GetStatusRequest(),
    "CatalogService/ListModels": lambda _h, _p: pb.ListModelsRequest(),
    "CatalogService/GetModel": lambda _h, _p: pb.GetModelRequest(model_id=MODELS[0]),
    "CatalogService/CreateModel": lambda _h, _p: pb.CreateModelRequest(
        model=pb.Model(provider_id="p", external_id=f"new-{next(_numbers)}")
    ),
    "CatalogService/UpdateModel": lambda _h, _p: pb.UpdateModelRequest(
        model=pb.Model(model_id=MODELS[2], display_name=f"M {next(_numbers)}")
    ),
    "CatalogService/DeleteModel": lambda _h, p: pb.DeleteModelRequest(
        model_id=new_model(p, f"new-{next(_numbers)}")
    ),
    "CatalogService/UndeleteModel": lambda _h, p: _deleted_model(p),
    "CatalogService/BulkUpdateModels": lambda _h, p: pb.BulkUpdateModelsRequest(
        filter=pb.ModelFilter(search=new_model(p, f"bulk-{next(_numbers)}")),
        update=pb.BulkUpdateModelsRequest.Update(priority=51),
    ),
    "CatalogService/ListModelChanges": lambda _h, _p: pb.ListModelChangesRequest(provider_id="p"),
    "RouteService/Route": lambda h, _p: pb.RouteRequest(agent_id=h.agent_id),
    "RouteService/BatchRoute": lambda h, _p: pb.BatchRouteRequest(
        requests=[pb.RouteRequest(agent_id=h.agent_id)]
    ),
    "RouteService/StreamRoutes": lambda h, _p: pb.RouteRequest(agent_id=h.agent_id),
    "RouteService/ExplainRoute": lambda h, _p: pb.RouteRequest(agent_id=h.agent_id),
    "RouteService/DetectTask": lambda _h, _p: pb.DetectTaskRequest(message="make slides"),
    "RouteService/GetDecision": lambda h, _p: pb.GetDecisionRequest(decision_id=h.decision_id),
    "RouteService/ListDecisions": lambda _h, _p: pb.ListDecisionsRequest(),
    "RouteService/ReplayDecisions": lambda h, _p: pb.ReplayDecisionsRequest(agent_id=h.agent_id),
    "RouteService/WatchAgent": lambda h, _p: pb.WatchAgentRequest(agent_id=h.agent_id),
    "RouteService/RecordDecisions": lambda h, _p: pb.RecordDecisionsRequest(decisions=[_decision(h)]),
    "RouteService/Complete": lambda h, _p: pb.CompleteRequest(
        route=pb.RouteRequest(agent_id=h.agent_id), messages=[pb.ChatMessage(role="user", content="hello")]
    ),
    "RouteService/Embed": lambda h, _p: pb.EmbedRequest(
        route=pb.RouteRequest(agent_id=h.agent_id), inputs=["hello"]
    ),
    "FeedbackService/RecordMessage": lambda h, _p: pb.RecordMessageRequest(message=_message(h)),
    "FeedbackService/BatchRecordMessages": lambda h, _p: pb.BatchRecordMessagesRequest(
        requests=[pb.RecordMessageRequest(message=_message(h))]
    ),
    "FeedbackService/SubmitFeedback": lambda h, _p: _vote(h),
    "FeedbackService/BatchSubmitFeedback": lambda h, _p: pb.BatchSubmitFeedbackRequest(requests=[_vote(h)]),
    "FeedbackService/RevokeFeedback": lambda h, _p: pb.RevokeFeedbackRequest(feedback_id=h.new_vote()),
    "FeedbackService/ListFeedback": lambda _h, _p: pb.ListFeedbackRequest(),
    "FeedbackService/ListPerformance": lambda _h, _p: pb.ListPerformanceRequest(),
    "FeedbackService/GetUsage": lambda _h, _p: pb.GetUsageRequest(
        group_by=["agent", "model", "provider", "task_type", "day"]
    ),
}


def _deleted_provider(platform: ImrsClient) -> pb.UndeleteProviderRequest:
    provider_id = _provider(platform)
    platform.admin.DeleteProvider(pb.DeleteProviderRequest(provider_id=provider_id))
    return pb.UndeleteProviderRequest(provider_id=provider_id)


def _synced(platform: ImrsClient) -> pb.RevertSyncRequest:
    """A sync that brought something."""
    provider = pb.Provider(
        provider_id=f"p-{next(_numbers)}",
        provider_type=pb.Provider.Type.CUSTOM,
        dialect="vllm",
        api_base=platform.admin.GetProvider(pb.GetProviderRequest(provider_id="p")).api_base,
        models_endpoint="/models",
    )
    platform.admin.CreateProvider(pb.CreateProviderRequest(provider=provider))
    *_, last = platform.admin.SyncProvider(pb.SyncProviderRequest(provider_id=provider.provider_id))
    return pb.RevertSyncRequest(provider_id=provider.provider_id, synced_time=last.result.synced_time)


def _deleted_model(platform: ImrsClient) -> pb.UndeleteModelRequest:
    model_id = new_model(platform, f"new-{next(_numbers)}")
    platform.catalog.DeleteModel(pb.DeleteModelRequest(model_id=model_id))
    return pb.UndeleteModelRequest(model_id=model_id)


def _decision(home: Names) -> pb.Decision:
    decision_id = new_id()
    found = pb.Decision(
        decision_id=str(decision_id),
        agent_id=home.agent_id,
        task=pb.TaskDetection(
            task_type="code",
            confidence=pb.TaskDetection.Confidence.HIGH,
            source=pb.TaskDetection.Source.REQUEST,
        ),
        selected=pb.SelectedModel(model_id=MODELS[0]),
        reason=pb.Decision.Reason.SCORE,
        index_revision=1,
    )
    found.create_time.FromMilliseconds(decision_id.int >> 80)
    return found


def _message(home: Names) -> pb.Message:
    return pb.Message(agent_id=home.agent_id, model_id=MODELS[0], task_type="code")


def _vote(home: Names) -> pb.SubmitFeedbackRequest:
    return pb.SubmitFeedbackRequest(message_id=home.message_id, rating=1.0)
