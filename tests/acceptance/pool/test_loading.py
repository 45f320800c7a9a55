"""Models of the pool are loaded when calls want them, once for all servers, and unloaded when idle."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
from google.protobuf import duration_pb2

from imrs_client import FailedPrecondition, ResourceExhausted, Unavailable
from imrs_client import v1 as pb
from imrs_server.domain.endpoint import EndpointState
from tests.support.pooled import pooled
from tests.support.pools import GIB, NEEDS_MEMORY, NOBODY, OLLAMA, FakeManager, FakeOllama, Service
from tests.support.waiting import eventually

if TYPE_CHECKING:
    from tests.conftest import Vault
    from tests.support.pooled import Pooled

HOT, LOADING, COLD, DOWN = EndpointState


def test_a_model_is_loaded_once_for_all_who_want_it(cold: Pooled, ollama: FakeOllama) -> None:
    """On both servers at once."""
    endpoint_id = cold.add(ollama.base_url)
    assert cold.state(endpoint_id) is COLD
    with ThreadPoolExecutor(12) as pool:
        with ollama.loading.closed():
            calls = [pool.submit(bot.complete, "Hello") for _ in range(6) for bot in cold.bots]
            eventually(lambda: cold.state(endpoint_id) is LOADING)
            eventually(lambda: all(each.app.calls_in_hand["complete"] == 6 for each in cold.servers))
        assert {call.result().content for call in calls} == {"ollama"}
    assert len(ollama.loads) == 1
    found = cold.endpoints()[endpoint_id]
    assert (found.state, found.memory_bytes) == (pb.Endpoint.State.HOT, 5 * GIB)


def test_a_model_that_cannot_be_loaded_is_not_waited_for_by_each(
    cold: Pooled, ollama: FakeOllama, other: Service
) -> None:
    with cold.unwatched():
        endpoint_id = cold.add(ollama.base_url)
        ollama.error = NEEDS_MEMORY
        done = cold.bot.complete("Hello")
        assert done.content == other.says
        (failed,) = done.failed_attempts
        assert (failed.model_id, failed.error_kind) == ("pool/m", "overloaded")
        assert NEEDS_MEMORY in failed.detail
        cold.becomes(endpoint_id, DOWN)
        assert NEEDS_MEMORY in cold.endpoints()[endpoint_id].load_error
        orders = len(ollama.requests)
        assert not cold.bots[1].complete("Hello").failed_attempts
        assert len(ollama.requests) == orders

    ollama.error = ""
    cold.execute("update endpoints set due_time = now()")
    cold.becomes(endpoint_id, COLD)
    assert cold.bot.complete("Hello").content == "ollama"
    assert cold.endpoints()[endpoint_id].load_error == ""


def test_no_model_is_loaded_for_a_call_that_a_budget_refuses(cold: Pooled, ollama: FakeOllama) -> None:
    """And what was set aside for a call whose model cannot be loaded is given back."""
    tenant = cold.service.tenant
    hour = duration_pb2.Duration(seconds=3600)

    def limit(limit_tokens: int) -> None:
        budget = pb.Budget(agent_id="bot", limit_tokens=limit_tokens, window=hour)
        tenant.admin.SetBudget(pb.SetBudgetRequest(budget=budget))
        cold.settled(tenant)

    with cold.unwatched():
        cold.add(ollama.base_url)
        limit(1)
        with pytest.raises(ResourceExhausted) as caught:
            cold.bot.complete("Hello")
        assert caught.value.reason == "BUDGET_EXCEEDED"
        assert not ollama.requests
    limit(100_000)
    ollama.error = NEEDS_MEMORY
    only = pb.StringList(values=["pool/m"])
    with pytest.raises(FailedPrecondition):
        cold.bot.complete("Hello", allowed_models=only, timeout=timedelta(seconds=20))
    (left,) = tenant.admin.ListBudgets(pb.ListBudgetsRequest()).budgets
    assert (left.reserved_tokens, left.spent_tokens) == (0, 0)


def test_a_load_is_not_waited_for_longer_than_its_limit(
    cold: Pooled, ollama: FakeOllama, other: Service
) -> None:
    cold.service.app.model_pool.loading._load_seconds = 0.5
    endpoint_id = cold.add(ollama.base_url)
    with cold.unwatched(), ollama.loading.closed():
        assert cold.bot.complete("Hello").content == other.says
        cold.becomes(endpoint_id, DOWN)


def test_who_has_less_time_than_a_load_takes_is_told_and_the_load_goes_on(
    cold: Pooled, ollama: FakeOllama, other: Service
) -> None:
    endpoint_id = cold.add(ollama.base_url)
    with ollama.loading.closed():
        # Half of it is the other model's.
        done = cold.bot.complete("Hello", timeout=timedelta(seconds=12))
        assert done.content == other.says
        assert [each.error_kind for each in done.failed_attempts] == ["timeout"]
    cold.becomes(endpoint_id, HOT)
    assert len(ollama.loads) == 1


def test_a_server_that_died_while_it_loaded_holds_nobody_up(cold: Pooled, ollama: FakeOllama) -> None:
    endpoint_id = cold.add(ollama.base_url)
    cold.execute(
        "update endpoints set state = 'LOADING', busy_id = gen_random_uuid(),"
        " busy_until = now() + interval '0.5 s'"
    )
    assert cold.bot.complete("Hello").content == "ollama"
    cold.becomes(endpoint_id, HOT)


def test_an_endpoint_that_is_hot_serves_before_another_is_loaded(cold: Pooled, ollama: FakeOllama) -> None:
    with FakeOllama("second") as second:
        cold.add(ollama.base_url)
        hot = cold.add(second.base_url)
        cold.platform.admin.LoadEndpoint(pb.LoadEndpointRequest(endpoint_id=hot))
        cold.becomes(hot, HOT)
        assert {cold.bot.complete("Hello").content for _ in range(10)} == {"second"}
    assert not ollama.loads


def test_an_idle_model_is_unloaded_and_loaded_again_when_it_is_wanted(
    cold: Pooled, ollama: FakeOllama
) -> None:
    endpoint_id = cold.add(ollama.base_url, ttl=timedelta(minutes=15))
    assert cold.bot.complete("Hello").content == "ollama"
    cold.watch()
    assert cold.state(endpoint_id) is HOT
    cold.rest(endpoint_id, minutes=16)
    eventually(lambda: ollama.unloads == ["m:latest"])
    assert cold.bots[1].complete("Hello").content == "ollama"
    assert len(ollama.loads) == 2


def test_a_model_with_calls_is_not_idle_however_long_they_take(cold: Pooled, ollama: FakeOllama) -> None:
    endpoint_id = cold.add(ollama.base_url, ttl=timedelta(seconds=0))
    with cold.unwatched(), ThreadPoolExecutor(1) as pool:
        with ollama.answers.closed():
            call = pool.submit(cold.bots[1].complete, "Hello")
            eventually(lambda: cold.endpoints()[endpoint_id].in_flight == 1)
            cold.execute("update endpoints set state_time = now() - interval '1 hour'")
            cold.watch()
            assert cold.state(endpoint_id) is HOT
            assert not ollama.unloads
        assert call.result().content == "ollama"
    assert cold.endpoints()[endpoint_id].HasField("last_used_time")


def test_what_others_load_and_unload_is_noticed(cold: Pooled, ollama: FakeOllama) -> None:
    with cold.unwatched():
        endpoint_id = cold.add(ollama.base_url)
        ollama.loaded["m:latest"] = -1
        cold.watch()
        cold.becomes(endpoint_id, HOT)
        ollama.loaded.clear()
        cold.watch()
        cold.becomes(endpoint_id, COLD)


def test_a_pool_manager_loads_and_its_port_is_followed(
    database: str, vault: Vault, one: Service, two: Service
) -> None:
    with (
        FakeManager({"m": one.port}, load_seconds=0.3) as manager,
        pooled(database, vault, api_base=NOBODY, pool_url=manager.url) as world,
    ):
        endpoint_id = world.add("http://127.0.0.1:8051/v1")
        assert world.bot.complete("Hello").content == "one"
        found = world.endpoints()[endpoint_id]
        assert (found.base_url, found.memory_bytes) == (one.base_url, 4200 << 20)
        # What was set is not forgotten: to set it again changes nothing.
        world.add("http://127.0.0.1:8051/v1", endpoint_id=endpoint_id, weight=2)
        again = world.endpoints()[endpoint_id]
        assert (again.base_url, again.state, again.weight) == (one.base_url, found.state, 2)
        # Somebody else had the manager load it again, elsewhere.
        manager.ports["m"] = two.port
        world.watch()
        eventually(lambda: world.bot.complete("Hello").content == "two")
        world.platform.admin.UnloadEndpoint(pb.UnloadEndpointRequest(endpoint_id=endpoint_id))
        assert manager.orders == ["load m", "unload m"]
        assert world.state(endpoint_id) is COLD
        assert world.bot.complete("Hello").content == "two"


def test_a_server_that_stops_leaves_the_load_to_another(
    database: str, vault: Vault, ollama: FakeOllama
) -> None:
    with pooled(database, vault, api_base=ollama.base_url, **OLLAMA) as world:
        endpoint_id = world.add(ollama.base_url)
        bot = world.bot
        with world.unwatched(), ThreadPoolExecutor(1) as pool, ollama.loading.closed():
            call = pool.submit(bot.complete, "Hello", timeout=timedelta(seconds=60))
            eventually(lambda: world.state(endpoint_id) is LOADING)
            world.service.app.model_pool.loading.stop()
            with pytest.raises(Unavailable):
                call.result()
            assert world.state(endpoint_id) is DOWN


def test_a_model_that_embeds_is_loaded_by_embedding(cold: Pooled, ollama: FakeOllama) -> None:
    platform, tenant = cold.platform, cold.service.tenant
    model = pb.Model(provider_id="pool", external_id="embedder", model_type=pb.Model.Type.EMBEDDING)
    model_id = platform.catalog.CreateModel(pb.CreateModelRequest(model=model)).model_id
    tenant.admin.EnableAgentModels(pb.EnableAgentModelsRequest(agent_id="bot", model_ids=[model_id]))
    cold.settled(tenant)
    cold.add(ollama.base_url, model_id=model_id)
    found = cold.bot.embed(["one", "two"])
    assert [list(each.values) for each in found.vectors] == [[0.5, 0.25], [0.5, 0.25]]
    assert ollama.loads == [{"model": "embedder", "keep_alive": -1, "input": []}]
