"""What a provider router in front of a model pool manager did for its agents, feature by feature.

Each agent class has a primary model and a fallback; models are loaded by a manager (``GET /models``, ``POST
/models/{id}/load``), which gives each a port of its own; parameters merge from global ones to the request's.
"""

from __future__ import annotations

import json
from collections import Counter
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest
from google.protobuf import duration_pb2
from google.protobuf.field_mask_pb2 import FieldMask

from imrs_client import ImrsClient, Replica
from imrs_client import v1 as pb
from tests.support.chatting import refuses
from tests.support.pools import FakeManager
from tests.support.pools import Service as Place
from tests.support.service import Service
from tests.support.waiting import eventually

if TYPE_CHECKING:
    from collections.abc import Iterator


QWEN, LLAMA, DEEPSEEK = "qwen2.5-coder:7b", "llama3.1:8b", "deepseek-coder-v2:16b"
CLASSES = {
    "Architect": (QWEN, LLAMA),
    "Programmer": (QWEN, LLAMA),
    "Tester": (QWEN, LLAMA),
    "Reviewer": (LLAMA, QWEN),
    "Documenter": (LLAMA, QWEN),
    "Debugger": (DEEPSEEK, QWEN),
    "*": (LLAMA, QWEN),
}
TEMPERATURES = {QWEN: 0.7, LLAMA: 0.8, DEEPSEEK: 0.6}


@dataclass
class World:
    """The agent ``pas`` asks for every class; each model has an endpoint where the manager puts it."""

    service: Service
    manager: FakeManager
    places: dict[str, Place]
    pas: ImrsClient

    def complete(self, agent_class: str, **fields: Any) -> Any:
        return self.pas.complete("Write a parser", agent_class=agent_class, **fields)

    def endpoints(self) -> dict[str, pb.Endpoint]:
        found = self.service.platform.admin.ListEndpoints(pb.ListEndpointsRequest())
        return {each.model_id.removeprefix("pool/"): each for each in found.endpoints}

    def state(self, name: str) -> str:
        return pb.Endpoint.State.Name(self.endpoints()[name].state)

    def asked(self, name: str) -> dict[str, Any]:
        """What the place of a model was asked last."""
        found: dict[str, Any] = json.loads(self.places[name].requests[-1].body)
        return found


@pytest.fixture
def world(service: Service) -> Iterator[World]:
    with ExitStack() as stack:
        places = {name: stack.enter_context(Place(f"{name} says")) for name in TEMPERATURES}
        ports = {name: each.port for name, each in places.items()}
        manager = stack.enter_context(FakeManager(ports, load_seconds=0.2, waits=False))
        furnish(service, manager)
        yield World(service, manager, places, service.agent("pas"))


def furnish(service: Service, manager: FakeManager) -> None:
    platform, tenant = service.platform, service.tenant
    provider = pb.Provider(
        provider_id="pool",
        provider_type=pb.Provider.Type.CUSTOM,
        dialect="vllm",
        api_base="http://127.0.0.1:9/v1",
        pool_url=manager.url,
    )
    platform.admin.CreateProvider(pb.CreateProviderRequest(provider=provider))
    for name, temperature in TEMPERATURES.items():
        own = pb.Parameters(temperature=temperature)
        model = pb.Model(provider_id="pool", external_id=name, parameters=own)
        platform.catalog.CreateModel(pb.CreateModelRequest(model=model))
        endpoint = pb.Endpoint(
            model_id=f"pool/{name}",
            base_url="http://127.0.0.1:8051/v1",
            ttl=duration_pb2.Duration(seconds=900),
        )
        platform.admin.SetEndpoint(pb.SetEndpointRequest(endpoint=endpoint))
    for agent_class, names in CLASSES.items():
        preference = pb.Preference(agent_class=agent_class, model_ids=[f"pool/{name}" for name in names])
        platform.admin.SetPreference(pb.SetPreferenceRequest(preference=preference))
    shared = pb.Parameters(temperature=0.1, top_p=0.9, max_output_tokens=2000)
    settings = pb.Defaults(scope=pb.Defaults.Scope.GLOBAL, parameters=shared)
    platform.admin.UpdateDefaults(
        pb.UpdateDefaultsRequest(defaults=settings, update_mask=FieldMask(paths=["parameters"]))
    )
    tenant.admin.CreateAgent(pb.CreateAgentRequest(agent=pb.Agent(agent_id="pas")))
    tenant.admin.EnableAgentModels(pb.EnableAgentModelsRequest(agent_id="pas", filter=pb.ModelFilter()))
    service.settled(tenant)


@pytest.mark.parametrize("agent_class", [*sorted(CLASSES.keys() - {"*"}), "Unheard-of"])
def test_a_model_by_the_class_of_the_agent(world: World, agent_class: str) -> None:
    primary, fallback = CLASSES.get(agent_class, CLASSES["*"])
    decision = world.pas.route.Route(pb.RouteRequest(agent_class=agent_class))
    assert decision.selected.external_id == primary
    assert decision.reason == pb.Decision.Reason.PREFERENCE
    assert decision.fallbacks[0].external_id == fallback


def test_a_model_that_is_not_hot_is_loaded_and_then_called_where_it_is(world: World) -> None:
    assert [world.state(name) for name in TEMPERATURES] == ["COLD"] * 3
    done = world.complete("Architect")
    assert done.content == f"{QWEN} says"
    assert world.manager.orders == [f"load {QWEN}"]
    # Its port is the manager's choice.
    assert world.endpoints()[QWEN].base_url == world.places[QWEN].base_url
    world.complete("Programmer")
    assert world.manager.orders == [f"load {QWEN}"]


def test_the_answer_tells_what_it_came_of(world: World) -> None:
    done = world.complete("Reviewer")
    assert done.model_id == f"pool/{LLAMA}"
    assert done.decision.task.task_type == "code"
    assert done.decision.selected.parameters.temperature == 0.8
    assert done.usage.completion_tokens > 0
    assert (done.finish_reason, done.latency_ms > 0, bool(done.message_id)) == ("stop", True, True)


def test_parameters_are_the_global_ones_then_the_models_then_the_requests(world: World) -> None:
    world.complete("Architect")
    asked = world.asked(QWEN)
    assert (asked["temperature"], asked["top_p"], asked["max_tokens"]) == (0.7, 0.9, 2000)
    world.complete("Architect", parameters=pb.Parameters(temperature=0.2, max_output_tokens=50))
    asked = world.asked(QWEN)
    assert (asked["temperature"], asked["top_p"], asked["max_tokens"]) == (0.2, 0.9, 50)
    world.complete("Reviewer")
    assert world.asked(LLAMA)["temperature"] == 0.8


def test_the_fallback_answers_where_the_primary_is_not_available(world: World) -> None:
    platform = world.service.platform
    platform.catalog.UpdateModel(
        pb.UpdateModelRequest(
            model=pb.Model(model_id=f"pool/{DEEPSEEK}", available=False),
            update_mask=FieldMask(paths=["available"]),
        )
    )
    world.service.settled(platform)
    assert world.complete("Debugger").content == f"{QWEN} says"


def test_the_fallback_answers_where_the_primary_cannot_be_loaded(world: World) -> None:
    world.complete("Reviewer")
    world.manager.error = "No available ports"
    done = world.complete("Architect")
    assert done.content == f"{LLAMA} says"
    (failed,) = done.failed_attempts
    assert (failed.model_id, "No available ports" in failed.detail) == (f"pool/{QWEN}", True)


def test_the_fallback_answers_where_the_primary_fails(world: World) -> None:
    world.places[QWEN].behaviour = refuses(500)
    assert world.complete("Tester").content == f"{LLAMA} says"


def test_answers_are_streamed(world: World) -> None:
    with world.pas.stream("Write a parser", agent_class="Architect") as answer:
        assert "".join(piece.content for piece in answer) == f"{QWEN} says"


def test_several_instances_of_a_model_share_its_calls(world: World) -> None:
    """Of a model without the manager, for that one keeps one of each."""
    platform, tenant = world.service.platform, world.service.tenant
    with Place("one") as one, Place("two") as two:
        provider = pb.Provider(
            provider_id="farm",
            provider_type=pb.Provider.Type.CUSTOM,
            dialect="vllm",
            api_base="http://127.0.0.1:9/v1",
        )
        platform.admin.CreateProvider(pb.CreateProviderRequest(provider=provider))
        model = pb.Model(provider_id="farm", external_id="m")
        platform.catalog.CreateModel(pb.CreateModelRequest(model=model))
        for place in (one, two):
            endpoint = pb.Endpoint(model_id="farm/m", base_url=place.base_url)
            platform.admin.SetEndpoint(pb.SetEndpointRequest(endpoint=endpoint))
        tenant.admin.EnableAgentModels(pb.EnableAgentModelsRequest(agent_id="pas", model_ids=["farm/m"]))
        world.service.settled(tenant)
        only = pb.StringList(values=["farm/*"])
        calls: list[Future[Any]] = []
        with ThreadPoolExecutor(8) as pool, one.answers.closed(), two.answers.closed():
            for _ in range(8):
                calls.append(pool.submit(world.complete, "", allowed_models=only))
                eventually(lambda: one.chats + two.chats == len(calls))
        # Each went to the one that had less to do.
        assert Counter(each.result().content for each in calls) == {"one": 4, "two": 4}


def test_the_status_shows_states_ports_memory_and_when_time_runs_out(world: World) -> None:
    world.complete("Architect")
    eventually(lambda: world.endpoints()[QWEN].HasField("last_used_time"))
    found = world.endpoints()[QWEN]
    assert (world.state(QWEN), world.state(LLAMA)) == ("HOT", "COLD")
    assert found.base_url.endswith(f":{world.places[QWEN].port}/v1")
    assert found.memory_bytes == 4200 << 20
    # It is unloaded at last_used_time + ttl.
    assert found.ttl.seconds == 900


def test_preferences_are_listed(world: World) -> None:
    listed = world.service.platform.admin.ListPreferences(pb.ListPreferencesRequest()).preferences
    assert {each.agent_class: tuple(each.model_ids) for each in listed} == {
        agent_class: tuple(f"pool/{name}" for name in names) for agent_class, names in CLASSES.items()
    }


def test_models_are_loaded_and_unloaded_by_hand_and_their_ttl_is_changed(world: World) -> None:
    admin = world.service.platform.admin
    known = world.endpoints()[LLAMA]
    loaded = admin.LoadEndpoint(pb.LoadEndpointRequest(endpoint_id=known.endpoint_id))
    assert pb.Endpoint.State.Name(loaded.state) == "HOT"
    changed = pb.Endpoint(
        endpoint_id=known.endpoint_id,
        model_id=known.model_id,
        base_url=loaded.base_url,
        ttl=duration_pb2.Duration(seconds=60),
    )
    assert admin.SetEndpoint(pb.SetEndpointRequest(endpoint=changed)).ttl.seconds == 60
    assert world.state(LLAMA) == "HOT"
    unloaded = admin.UnloadEndpoint(pb.UnloadEndpointRequest(endpoint_id=known.endpoint_id))
    assert pb.Endpoint.State.Name(unloaded.state) == "COLD"
    assert world.manager.orders == [f"load {LLAMA}", f"unload {LLAMA}"]


def test_who_watches_sees_states_as_they_change(world: World) -> None:
    with Replica(world.pas, report=False) as replica:
        replica.wait_until_ready(20)

        def state() -> str:
            found = replica.route(pb.RouteRequest(agent_class="Architect")).to_proto()
            return pb.Endpoint.State.Name(found.selected.endpoint.state)

        assert state() == "COLD"
        world.complete("Architect")
        eventually(lambda: state() == "HOT")


def test_decisions_and_how_models_do_are_counted(world: World) -> None:
    world.complete("Architect")
    world.places[QWEN].behaviour = refuses(500)
    world.complete("Architect")
    tenant = world.service.tenant

    def decisions() -> list[str]:
        found = tenant.route.ListDecisions(pb.ListDecisionsRequest())
        return [each.selected.model_id for each in found.decisions]

    eventually(lambda: decisions() == [f"pool/{QWEN}"] * 2)
    usage = tenant.feedback.GetUsage(pb.GetUsageRequest(group_by=["model"])).usages
    assert {each.group["model"]: (each.calls, each.errors) for each in usage} == {
        f"pool/{QWEN}": (2, 1),
        f"pool/{LLAMA}": (1, 0),
    }
