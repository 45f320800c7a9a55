"""What an admin sets is in effect at once, in the order that was promised, and says where it comes from."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import count
from typing import TYPE_CHECKING, Any

import pytest
from google.protobuf.field_mask_pb2 import FieldMask

from imrs_client import FailedPrecondition, ImrsClient, InvalidArgument
from imrs_client import v1 as pb
from imrs_server.domain.principal import Role
from tests.support.service import Service
from tests.support.waiting import eventually

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

OFF = pb.RoutingPolicy(exploration=pb.RoutingPolicy.Exploration.OFF)
PIN, AFFINITY, PREFERENCE, SCORE, DEFAULT = (
    pb.Decision.Reason.OVERRIDE,
    pb.Decision.Reason.AFFINITY,
    pb.Decision.Reason.PREFERENCE,
    pb.Decision.Reason.SCORE,
    pb.Decision.Reason.DEFAULT,
)
HIGH, MID, LOW, EVEN = "p/high", "p/mid", "p/low", "p/even"
MODELS = {
    HIGH: pb.Model(priority=60, capabilities=["text", "vision"], input_price_usd="3", output_price_usd="6"),
    MID: pb.Model(priority=50, capabilities=["text"]),
    LOW: pb.Model(priority=40, capabilities=["text", "vision"]),
    EVEN: pb.Model(priority=50, capabilities=["text"]),
}

_numbers = count(1)


@dataclass(frozen=True, slots=True)
class Bot:
    """A new agent and those who deal with it."""

    agent_id: str
    service: Service
    admin: ImrsClient
    client: ImrsClient

    def asked(self, **fields: Any) -> tuple[str, int]:
        """The model that Route selects, and why."""
        decision = self.client.choose(**fields)
        return decision.selected.model_id, decision.reason

    def soon(self, model_id: str, reason: int, **fields: Any) -> None:
        """Wait until Route says so."""
        eventually(lambda: self.asked(**fields) == (model_id, reason))

    def pin(self, model_id: str) -> pb.Agent:
        request = pb.SetModelOverrideRequest(agent_id=self.agent_id, model_id=model_id)
        return self.admin.admin.SetModelOverride(request)

    def unpin(self) -> pb.Agent:
        return self.admin.admin.ClearModelOverride(pb.ClearModelOverrideRequest(agent_id=self.agent_id))

    def update(self, **fields: Any) -> None:
        agent = pb.Agent(agent_id=self.agent_id, **fields)
        self.admin.admin.UpdateAgent(pb.UpdateAgentRequest(agent=agent))

    def models(self) -> dict[str, pb.AgentModel]:
        """As Route sees them, once it knows of everything."""
        self.service.caught_up()
        request = pb.ListAgentModelsRequest(agent_id=self.agent_id, effective=True)
        return {each.model_id: each for each in self.client.admin.ListAgentModels(request).models}


@pytest.fixture(scope="module")
def platform(shared_service: Service) -> ImrsClient:
    found = shared_service.platform
    provider = pb.Provider(
        provider_id="p", provider_type=pb.Provider.Type.OLLAMA, api_base="http://127.0.0.1:9"
    )
    found.admin.CreateProvider(pb.CreateProviderRequest(provider=provider))
    for model_id, fields in MODELS.items():
        model = pb.Model(provider_id="p", external_id=model_id.removeprefix("p/"))
        model.MergeFrom(fields)
        found.catalog.CreateModel(pb.CreateModelRequest(model=model))
    return found


@pytest.fixture
def make(shared_service: Service, platform: ImrsClient) -> Callable[..., Bot]:
    admin = shared_service.tenant

    def bot(*model_ids: str, **fields: Any) -> Bot:
        agent_id = f"bot-{next(_numbers)}"
        agent = pb.Agent(**{"agent_id": agent_id, "routing": OFF, **fields})
        admin.admin.CreateAgent(pb.CreateAgentRequest(agent=agent))
        if model_ids:
            admin.admin.EnableAgentModels(pb.EnableAgentModelsRequest(agent_id=agent_id, model_ids=model_ids))
        shared_service.settled(admin)
        assert platform.last_revision
        return Bot(agent_id, shared_service, admin, shared_service.agent(agent_id))

    return bot


@pytest.fixture
def prefer(platform: ImrsClient) -> Iterator[Callable[..., None]]:
    classes: set[str] = set()

    def put(agent_class: str, *model_ids: str, **fields: Any) -> None:
        preference = pb.Preference(agent_class=agent_class, model_ids=model_ids, **fields)
        platform.admin.SetPreference(pb.SetPreferenceRequest(preference=preference))
        classes.add(agent_class)

    yield put
    for each in classes:
        platform.admin.DeletePreference(pb.DeletePreferenceRequest(agent_class=each))


def test_a_pin_holds_at_once_and_lets_go_at_once(make: Callable[..., Bot]) -> None:
    bot = make(HIGH, MID, LOW)
    assert bot.asked() == (HIGH, SCORE)
    pinned = bot.pin(LOW)
    bot.soon(LOW, PIN)
    assert (pinned.override.model_id, pinned.override.set_by) == (LOW, Role.TENANT_ADMIN)
    assert not bot.unpin().HasField("override")
    bot.soon(HIGH, SCORE)


def test_the_reasons_come_in_their_order(make: Callable[..., Bot], prefer: Callable[..., None]) -> None:
    """Each time the strongest goes, the next one decides."""
    bot = make(HIGH, MID, LOW, agent_class="ordered")
    prefer("ordered", MID)
    bot.pin(LOW)
    bot.soon(LOW, PIN, previous_model_id=HIGH)
    bot.unpin()
    bot.soon(HIGH, AFFINITY, previous_model_id=HIGH)
    assert bot.asked() == (MID, PREFERENCE)
    bot.update(agent_class="of nobody's preference")
    bot.soon(HIGH, SCORE)


def test_the_default_model_decides_where_nothing_tells_candidates_apart(make: Callable[..., Bot]) -> None:
    bot = make(MID, EVEN)
    assert bot.asked() == (EVEN, SCORE)
    bot.update(default_model_id=MID)
    bot.soon(MID, DEFAULT)
    bot.pin(EVEN)
    bot.soon(EVEN, PIN)


def test_a_pin_that_fails_a_filter_is_passed_over_and_reported(make: Callable[..., Bot]) -> None:
    bot = make(HIGH, MID, LOW)
    bot.pin(MID)
    bot.soon(MID, PIN)
    request = pb.RouteRequest(required_capabilities=["vision"])
    explained = bot.client.route.ExplainRoute(request)
    assert (explained.selected.model_id, explained.reason) == (HIGH, SCORE)
    reports = {each.model_id: each.removed_by for each in explained.candidates}
    assert reports[MID] == pb.CandidateReport.RemovedBy.CAPABILITY

    bot.admin.admin.DisableAgentModels(pb.DisableAgentModelsRequest(agent_id=bot.agent_id, model_ids=[MID]))
    bot.soon(HIGH, SCORE)
    assert bot.models()[MID].removed_by == pb.CandidateReport.RemovedBy.DISABLED


def test_a_pin_on_a_model_that_is_not_enabled_is_refused(make: Callable[..., Bot]) -> None:
    with pytest.raises(InvalidArgument) as caught:
        make(HIGH).pin(LOW)
    assert caught.value.violations[0].field == "model_id"


def test_a_preference_has_fallbacks_and_never_widens(
    make: Callable[..., Bot], prefer: Callable[..., None]
) -> None:
    bot = make(HIGH, LOW, agent_class="careful")
    prefer("careful", MID, LOW)
    bot.soon(LOW, PREFERENCE)
    prefer("careful", LOW, HIGH)
    bot.service.caught_up()
    decision = bot.client.choose(required_capabilities=["vision"])
    assert [decision.selected.model_id, *(each.model_id for each in decision.fallbacks)] == [LOW, HIGH]


def test_a_named_fallback_that_fails_a_filter_is_passed_over(make: Callable[..., Bot]) -> None:
    bot = make(HIGH, MID, LOW, fallback_model_ids=stops(MID, LOW))
    for capability, wanted in (("text", [MID, LOW]), ("vision", [LOW])):
        decision = bot.client.choose(required_capabilities=[capability])
        assert decision.selected.model_id == HIGH
        assert [each.model_id for each in decision.fallbacks] == wanted


def test_a_star_stands_for_classes_without_an_entry(
    make: Callable[..., Bot], prefer: Callable[..., None]
) -> None:
    bot, classless = make(HIGH, MID, LOW, agent_class="unheard of"), make(HIGH, MID, LOW)
    prefer("*", LOW)
    bot.soon(LOW, PREFERENCE)
    assert classless.asked() == (HIGH, SCORE)
    assert classless.asked(agent_class="just now") == (LOW, PREFERENCE)


def test_a_clone_answers_like_its_original_at_once(make: Callable[..., Bot], shared_service: Service) -> None:
    bot = make(HIGH, MID, LOW)
    bot.pin(MID)
    clone_id = f"{bot.agent_id}-clone"
    bot.admin.admin.CloneAgent(pb.CloneAgentRequest(agent_id=bot.agent_id, new_agent_id=clone_id))
    clone = Bot(clone_id, shared_service, bot.admin, shared_service.agent(clone_id))
    shared_service.settled(bot.admin)
    assert clone.asked() == (MID, PIN)
    clone.unpin()
    clone.soon(HIGH, SCORE)
    assert bot.asked() == (MID, PIN)


def test_a_rule_that_ends_takes_its_models_along_at_once(make: Callable[..., Bot]) -> None:
    bot = make(LOW)
    request = pb.EnableAgentModelsRequest(
        agent_id=bot.agent_id, filter=pb.ModelFilter(search="high"), standing=True
    )
    rule = bot.admin.admin.EnableAgentModels(request).rule
    bot.soon(HIGH, SCORE)
    rules = pb.ListAgentRulesRequest(agent_id=bot.agent_id)
    assert list(bot.admin.admin.ListAgentRules(rules).agent_rules) == [rule]
    bot.admin.admin.DeleteAgentRule(pb.DeleteAgentRuleRequest(agent_id=bot.agent_id, rule_id=rule.rule_id))
    bot.soon(LOW, SCORE)
    assert bot.admin.admin.ListAgentRules(rules).total_size == 0


def test_a_new_priority_and_a_disabled_agent_count_at_once(make: Callable[..., Bot]) -> None:
    bot = make(HIGH, LOW)
    setting = pb.AgentModel(agent_id=bot.agent_id, model_id=LOW, priority_override=90)
    bot.admin.admin.UpdateAgentModel(pb.UpdateAgentModelRequest(agent_model=setting))
    bot.soon(LOW, SCORE)
    bot.update(state=pb.Agent.State.DISABLED)

    def refused() -> bool:
        try:
            bot.asked()
        except FailedPrecondition as error:
            return error.metadata.get("DISABLED") == "2"
        return False

    eventually(refused)


def stops(*words: str) -> pb.StringList:
    return pb.StringList(values=words)


def test_parameters_are_merged_level_by_level_and_name_their_level(
    make: Callable[..., Bot], prefer: Callable[..., None], platform: ImrsClient
) -> None:
    """Each level sets its own name and `shared`; the strongest wins, and empty is not unset."""
    bot = make(HIGH, agent_class="tuned")

    def level(name: str, **fields: Any) -> pb.Parameters:
        found = pb.Parameters(**fields)
        found.extra.update({name: name, "shared": name})
        return found

    def defaults(client: ImrsClient, scope: Any, parameters: pb.Parameters) -> None:
        wanted = pb.Defaults(scope=scope, parameters=parameters)
        client.admin.UpdateDefaults(pb.UpdateDefaultsRequest(defaults=wanted))

    def check(*names: str) -> None:
        levels = {f"parameters.extra.{name}": name for name in names}
        told = {
            key: value
            for key, value in bot.models()[HIGH].value_sources.items()
            if key.startswith("parameters.extra")
        }
        assert told == levels | {"parameters.extra.shared": names[-1]}
        extra = dict(bot.client.choose().selected.parameters.extra.items())
        assert extra == {name: name for name in names} | {"shared": names[-1]}

    scopes = pb.Defaults.Scope
    defaults(platform, scopes.GLOBAL, level("GLOBAL", temperature=0.1, stop=stops("x")))
    check("GLOBAL")
    defaults(bot.admin, scopes.TENANT, level("TENANT"))
    check("GLOBAL", "TENANT")
    model = pb.Model(model_id=HIGH, parameters=level("MODEL", top_p=0.2))
    platform.catalog.UpdateModel(pb.UpdateModelRequest(model=model))
    check("GLOBAL", "TENANT", "MODEL")
    prefer("tuned", HIGH, parameters=level("CLASS", max_output_tokens=7))
    check("GLOBAL", "TENANT", "MODEL", "CLASS")
    bot.update(parameters=level("AGENT", temperature=0.5))
    check("GLOBAL", "TENANT", "MODEL", "CLASS", "AGENT")
    setting = pb.AgentModel(
        agent_id=bot.agent_id, model_id=HIGH, parameters=level("AGENT_MODEL", stop=stops())
    )
    bot.admin.admin.UpdateAgentModel(pb.UpdateAgentModelRequest(agent_model=setting))
    check("GLOBAL", "TENANT", "MODEL", "CLASS", "AGENT", "AGENT_MODEL")

    sources = bot.models()[HIGH].value_sources
    named = ("temperature", "top_p", "max_output_tokens", "stop")
    assert [sources[f"parameters.{name}"] for name in named] == ["AGENT", "MODEL", "CLASS", "AGENT_MODEL"]
    asked = bot.client.choose(parameters=level("REQUEST", temperature=0.9)).selected.parameters
    assert (asked.temperature, asked.top_p, asked.max_output_tokens) == (0.9, 0.2, 7)
    assert asked.HasField("stop")
    assert list(asked.stop.values) == []
    assert asked.extra["shared"] == asked.extra["REQUEST"] == "REQUEST"
    for client, scope in ((platform, scopes.GLOBAL), (bot.admin, scopes.TENANT)):
        client.admin.UpdateDefaults(
            pb.UpdateDefaultsRequest(
                defaults=pb.Defaults(scope=scope), update_mask=FieldMask(paths=["parameters"])
            )
        )


def test_everything_else_names_its_level_too(make: Callable[..., Bot]) -> None:
    bot = make(HIGH, LOW, routing=pb.RoutingPolicy(priority_weight=0.4), default_model_id=LOW)
    tenant = pb.Defaults(
        scope=pb.Defaults.Scope.TENANT,
        routing=pb.RoutingPolicy(priority_weight=0.2, similarity_margin=0.1, signal_ratings={"COPY": 0.9}),
    )
    bot.admin.admin.UpdateDefaults(pb.UpdateDefaultsRequest(defaults=tenant))
    setting = pb.AgentModel(
        agent_id=bot.agent_id,
        model_id=HIGH,
        priority_override=1,
        input_price_usd="1",
        fallback_model_ids=stops(LOW),
    )
    bot.admin.admin.UpdateAgentModel(pb.UpdateAgentModelRequest(agent_model=setting))
    high, low = bot.models()[HIGH].value_sources, bot.models()[LOW].value_sources
    of_agent = {
        "routing.priority_weight": "AGENT",
        "routing.similarity_margin": "TENANT",
        "routing.signal_ratings.COPY": "TENANT",
        "routing.experience_weight": "BUILT_IN",
        "default_model_id": "AGENT",
    }
    assert of_agent.items() <= high.items()
    assert of_agent.items() <= low.items()
    own = (
        "effective_priority",
        "input_price_usd",
        "output_price_usd",
        "context_length",
        "fallback_model_ids",
    )
    assert [high[name] for name in own] == ["AGENT_MODEL", "AGENT_MODEL", "MODEL", "MODEL", "AGENT_MODEL"]
    assert [low[name] for name in own] == ["MODEL", "MODEL", "MODEL", "MODEL", "BUILT_IN"]
    bot.admin.admin.UpdateDefaults(
        pb.UpdateDefaultsRequest(
            defaults=pb.Defaults(scope=pb.Defaults.Scope.TENANT), update_mask=FieldMask(paths=["routing"])
        )
    )
