"""A tenant with a bit of everything that a decision may depend on, and requests of all kinds."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from imrs_client import v1 as pb

if TYPE_CHECKING:
    from random import Random

    from imrs_client import ImrsClient
    from tests.support.service import Service

CAPABILITIES = ("text", "vision", "code", "audio")
DOMAINS = ("law", "health")
ROLES = ("staff", "guest")
TASKS = ("code", "math", "chat")
TIERS = (pb.Model.FREE, pb.Model.LOW, pb.Model.STANDARD, pb.Model.PREMIUM)
MODELS = 24
AGENTS = {
    # Without a class, so that requests may name one.
    "plain": pb.Agent(parameters=pb.Parameters(top_p=0.9)),
    "writer": pb.Agent(agent_class="writers", routing=pb.RoutingPolicy(session_affinity=True)),
    "srs": pb.Agent(
        routing=pb.RoutingPolicy(
            scoring=pb.RoutingPolicy.SRS,
            exploration=pb.RoutingPolicy.OFF,
            max_latency_ms=800,
            require_credentials=True,
        ),
        fallback_model_ids=pb.StringList(values=["p0/m0", "p1/m1", "p2/m2"]),
    ),
    "lucky": pb.Agent(routing=pb.RoutingPolicy(exploration=pb.RoutingPolicy.EPSILON, exploration_rate=0.7)),
    "bound": pb.Agent(default_model_id="p0/m3"),
}


class Fleet:
    """A tenant with AGENTS, 24 models of three providers, and ratings of half of them."""

    def __init__(self, service: Service, random: Random) -> None:
        self.service = service
        self.tenant = service.tenant
        self.random = random
        self.model_ids = self._catalogue(service.platform)
        for agent_id, settings in AGENTS.items():
            self._agent(agent_id, settings)
        self._rate()

    def _catalogue(self, platform: ImrsClient) -> list[str]:
        policies = (None, pb.DataPolicy(regions=["eu"], trains_on_data=False), pb.DataPolicy(regions=["us"]))
        kinds = (pb.Provider.OLLAMA, pb.Provider.OLLAMA, pb.Provider.CUSTOM)
        for number, (policy, kind) in enumerate(zip(policies, kinds, strict=True)):
            provider = pb.Provider(
                provider_id=f"p{number}",
                provider_type=kind,
                api_base="http://127.0.0.1:9",
                data_policy=policy,
            )
            platform.admin.CreateProvider(pb.CreateProviderRequest(provider=provider))
        made = [
            platform.catalog.CreateModel(pb.CreateModelRequest(model=self._model(number))).model_id
            for number in range(MODELS)
        ]
        # Some models have several places.
        for number, model_id in enumerate(each for each in made[:12] if each.startswith("p2/")):
            for port in (8051, 8052):
                endpoint = pb.Endpoint(model_id=model_id, base_url=f"http://127.0.0.1:{port + 2 * number}/v1")
                platform.admin.SetEndpoint(pb.SetEndpointRequest(endpoint=endpoint))
        return made

    def _model(self, number: int) -> pb.Model:
        random = self.random
        priced = random.random() < 0.7
        return pb.Model(
            provider_id=f"p{number % 3}",
            external_id=f"m{number}",
            model_type=random.choice([pb.Model.CHAT, pb.Model.CHAT, pb.Model.EMBEDDING]),
            capabilities=[each for each in CAPABILITIES if random.random() < 0.7],
            domains=[each for each in DOMAINS if random.random() < 0.4],
            priority=random.choice([40, 50, 60]),
            cost_tier=random.choice(TIERS),
            context_length=random.choice([0, 4_000, 128_000]),
            price_state=pb.Model.PRICE_KNOWN if priced else pb.Model.PRICE_UNKNOWN,
            input_price_usd=str(random.randint(1, 40)) if priced else "",
            output_price_usd=str(random.randint(1, 90)) if priced else "",
            available=random.random() < 0.9,
            parameters=pb.Parameters(temperature=random.random()) if random.random() < 0.5 else None,
        )

    def _agent(self, agent_id: str, settings: pb.Agent) -> None:
        admin, random = self.tenant.admin, self.random
        agent = pb.Agent(agent_id=agent_id)
        agent.MergeFrom(settings)
        if agent_id == "bound":
            agent.capsule.update({"body": {"allowed_models": {"staff": ["p0/*"], "guest": ["*m1*", "p1/*"]}}})
        admin.CreateAgent(pb.CreateAgentRequest(agent=agent))
        mine = [each for each in self.model_ids if random.random() < 0.9]
        admin.EnableAgentModels(pb.EnableAgentModelsRequest(agent_id=agent_id, model_ids=mine))
        for model_id in random.sample(mine, 4):
            own = pb.AgentModel(
                agent_id=agent_id,
                model_id=model_id,
                priority_override=random.randint(0, 100),
                parameters=pb.Parameters(max_output_tokens=random.randint(1, 999)),
                allowed_roles=[random.choice(ROLES)] if random.random() < 0.5 else [],
                fallback_model_ids=pb.StringList(values=random.sample(mine, 2)),
            )
            admin.UpdateAgentModel(pb.UpdateAgentModelRequest(agent_model=own))
        disabled = pb.DisableAgentModelsRequest(agent_id=agent_id, model_ids=mine[-2:])
        admin.DisableAgentModels(disabled)

    def _rate(self) -> None:
        platform, tenant = self.service.platform, self.tenant
        for name in ("writers", "*"):
            preference = pb.Preference(
                agent_class=name,
                model_ids=self.random.sample(self.model_ids, 2),
                parameters=pb.Parameters(top_p=0.5),
            )
            platform.admin.SetPreference(pb.SetPreferenceRequest(preference=preference))
        for model_id in self.random.sample(self.model_ids, MODELS // 2):
            for task_type in TASKS:
                for agent_id in self.random.sample(list(AGENTS), 2):
                    called = tenant.record(
                        agent_id=agent_id,
                        model_id=model_id,
                        task_type=task_type,
                        latency_ms=self.random.randint(1, 1500),
                    )
                    tenant.rate(called.message_id, self.random.random())

    def request(self) -> pb.RouteRequest:
        random = self.random

        def some(values: Any, share: float) -> list[Any]:
            return [each for each in values if random.random() < share]

        def choice(*values: Any) -> Any:
            return random.choice(values)

        globs = ("p0/*", "p1/*", "m1*", "*m2*", "p2/m5")
        request = pb.RouteRequest(
            task_type=choice("", "", *TASKS, "unheard-of"),
            message=choice("", "review this python script", "translate this", "solve x^2 = 2"),
            tools_used=some(["code_execute"], 0.2),
            attachments=[pb.Attachment(filename=each) for each in some(["a.png", "b.py"], 0.1)],
            required_capabilities=some(CAPABILITIES, 0.1),
            domains=some(DOMAINS, 0.1),
            excluded_models=some(globs, 0.1),
            roles=some(ROLES, 0.5),
            min_context_length=choice(0, 0, 0, 8_000),
            estimated_prompt_tokens=choice(0, 0, 3_900),
            model_type=choice(0, 0, 0, pb.Model.EMBEDDING, pb.Model.IMAGE),
            max_cost_tier=choice(0, 0, 0, *TIERS[1:]),
            prefer_cost_tier=choice(0, 0, *TIERS),
            conversation_id=choice("", "c1", "c2"),
            previous_model_id=choice("", "", *self.model_ids),
            agent_class=choice("", "writers", "unheard-of"),
            request_id=str(random.random()),
        )
        if random.random() < 0.2:
            request.allowed_models.values.extend(some(globs, 0.6))
        if random.random() < 0.3:
            request.parameters.CopyFrom(pb.Parameters(temperature=0.1, max_output_tokens=200))
        if random.random() < 0.1:
            request.data_policy.CopyFrom(pb.DataPolicy(regions=["eu"], trains_on_data=False))
        if random.random() < 0.2:
            request.max_latency_ms = random.randint(1, 1500)
        if random.random() < 0.5:
            request.max_fallbacks = random.randint(0, 6)
        if random.random() < 0.5:
            request.seed = random.randint(0, 1000)
        return request
