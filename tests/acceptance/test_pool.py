"""The model pool on whole servers: endpoints are chosen, loaded, unloaded, passed over and taken back."""

from __future__ import annotations

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from google.protobuf import duration_pb2

from imrs_client import FailedPrecondition, InvalidArgument, NotFound, ResourceExhausted, Unavailable
from imrs_client import v1 as pb
from imrs_server.domain.endpoint import EndpointState
from tests.support.chatting import breaks_off, refuses
from tests.support.pooled import pooled
from tests.support.pools import GIB, NEEDS_MEMORY, FakeManager, FakeOllama, Service
from tests.support.waiting import eventually

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.conftest import Vault
    from tests.support.pooled import Pooled

HOT, LOADING, COLD, DOWN = EndpointState
NOBODY = "http://127.0.0.1:9/v1"
OLLAMA: dict[str, Any] = {"provider_type": pb.Provider.Type.OLLAMA, "dialect": "ollama"}


@pytest.fixture
def one() -> Iterator[Service]:
    with Service("one") as found:
        yield found


@pytest.fixture
def two() -> Iterator[Service]:
    with Service("two") as found:
        yield found


@pytest.fixture
def other() -> Iterator[Service]:
    """Where the fallback model answers."""
    with Service("other") as found:
        yield found


@pytest.fixture
def ollama() -> Iterator[FakeOllama]:
    with FakeOllama("ollama") as found:
        yield found


@pytest.fixture
def world(database: str, vault: Vault, other: Service) -> Iterator[Pooled]:
    """A model that is always loaded, wherever it is."""
    with pooled(database, vault, api_base=NOBODY, fallback=other.base_url) as found:
        yield found


@pytest.fixture
def cold(database: str, vault: Vault, other: Service, ollama: FakeOllama) -> Iterator[Pooled]:
    """A model of Ollama, which nobody has loaded, on two servers."""
    found = pooled(database, vault, api_base=ollama.base_url, fallback=other.base_url, servers=2, **OLLAMA)
    with found as world:
        yield world


def test_calls_go_to_the_endpoints_each_by_its_weight(world: Pooled, one: Service, two: Service) -> None:
    world.add(one.base_url, weight=3)
    world.add(two.base_url)
    said = Counter(world.bot.complete("Hello").content for _ in range(120))
    assert said["one"] + said["two"] == 120
    assert 70 <= said["one"] <= 110


def test_among_calls_at_once_the_less_loaded_is_chosen(world: Pooled, one: Service, two: Service) -> None:
    one.delay_seconds, two.delay_seconds = 0.3, 0.02
    world.add(one.base_url)
    world.add(two.base_url)
    with ThreadPoolExecutor(8) as pool:
        said = Counter(done.content for done in pool.map(world.bot.complete, ["Hello"] * 80))
    assert said["two"] > said["one"] > 0


def test_without_an_endpoint_the_provider_itself_is_called(world: Pooled, one: Service) -> None:
    endpoint_id = world.add(one.base_url)
    assert world.bot.complete("Hello").content == "one"
    platform = world.platform
    platform.admin.DeleteEndpoint(pb.DeleteEndpointRequest(endpoint_id=endpoint_id))
    world.settled(platform)
    # Nobody is at its own address.
    assert world.bot.complete("Hello").content == "other"


@pytest.mark.parametrize("stream", [False, True])
def test_another_endpoint_comes_before_another_model(
    world: Pooled, one: Service, two: Service, stream: bool
) -> None:
    one.behaviour = refuses(503)
    failing, serving = world.add(one.base_url, weight=1_000_000), world.add(two.base_url)
    if stream:
        with world.bot.stream("Hello") as answer:
            assert "".join(piece.content for piece in answer) == "two"
        done = answer.completion
    else:
        done = world.bot.complete("Hello")
    assert (done.content, done.model_id) == ("two", "pool/m")
    (failed,) = done.failed_attempts
    assert (failed.model_id, failed.detail.split(":")[0]) == ("pool/m", f"endpoint {failing}")
    # Each call has a message of its own, of the model.
    assert world.kept == [("pool/m", "ERROR", failing), ("pool/m", "OK", serving)]


def test_what_would_fail_anywhere_is_not_tried_at_another_endpoint(
    world: Pooled, one: Service, two: Service
) -> None:
    one.behaviour = two.behaviour = refuses(400, "invalid_request_error", "bad tool")
    world.add(one.base_url)
    world.add(two.base_url)
    with pytest.raises(InvalidArgument):
        world.bot.complete("Hello")
    assert one.chats + two.chats == 1


def test_an_answer_that_broke_off_is_not_begun_again_elsewhere(
    world: Pooled, one: Service, two: Service
) -> None:
    one.behaviour = breaks_off("half")
    two.behaviour = breaks_off("half")
    world.add(one.base_url)
    world.add(two.base_url)
    with pytest.raises(Unavailable), world.bot.stream("Hello") as answer:
        list(answer)
    assert one.chats + two.chats == 1


def test_max_attempts_counts_calls_of_endpoints_too(world: Pooled, one: Service, two: Service) -> None:
    one.behaviour = two.behaviour = refuses(503)
    world.add(one.base_url)
    world.add(two.base_url)
    with pytest.raises(Unavailable):
        world.bot.complete("Hello", max_attempts=2)
    assert (one.chats, two.chats) == (1, 1)


def test_an_endpoint_that_fails_goes_down_for_all_and_comes_back_in_steps(
    database: str, vault: Vault, one: Service, two: Service
) -> None:
    with pooled(database, vault, api_base=NOBODY, servers=2) as world:
        failing = world.add(one.base_url)
        world.add(two.base_url)
        one.behaviour = refuses(503)
        while one.chats < 3:
            assert world.bots[0].complete("Hello").content == "two"
        world.becomes(failing, DOWN)
        # The other server has not seen it fail, and does not try.
        for _ in range(20):
            assert not world.bots[1].complete("Hello").failed_attempts
        assert one.chats == 3

        one.behaviour = None
        world.execute("update breakers set due_time = now() where kind = 'ENDPOINT'")
        eventually(lambda: any(bot.complete("Hello").content == "one" for bot in world.bots))
        world.becomes(failing, HOT)


def test_a_new_key_takes_the_endpoints_back_that_refused_the_old_one(world: Pooled, one: Service) -> None:
    endpoint_id = world.add(one.base_url)
    one.behaviour = refuses(401)
    assert world.bot.complete("Hello").content == "other"
    world.becomes(endpoint_id, DOWN)
    one.behaviour = None
    platform = world.platform
    platform.admin.RotateProviderKey(pb.RotateProviderKeyRequest(provider_id="pool", api_key="sk-new"))
    world.settled(platform)
    assert world.state(endpoint_id) is HOT
    assert world.bot.complete("Hello").content == "one"


def test_route_passes_over_a_model_all_of_whose_endpoints_are_down(world: Pooled, one: Service) -> None:
    endpoint_id = world.add(one.base_url)
    one.behaviour = refuses(503)
    while one.chats < 3:
        assert world.bot.complete("Hello").content == "other"
    world.becomes(endpoint_id, DOWN)
    decision = world.bot.route.ExplainRoute(pb.RouteRequest())
    told = {each.model_id: each for each in decision.candidates}
    assert decision.selected.model_id == "other/m"
    assert told["pool/m"].removed_by == pb.CandidateReport.RemovedBy.COOLDOWN
    assert told["pool/m"].detail == "its endpoint is DOWN"


def test_a_model_without_a_stand_in_is_called_although_all_its_endpoints_are_down(
    database: str, vault: Vault, one: Service
) -> None:
    with pooled(database, vault, api_base=NOBODY) as world:
        endpoint_id = world.add(one.base_url)
        one.behaviour = refuses(503)
        while one.chats < 3:
            with pytest.raises(Unavailable):
                world.bot.complete("Hello")
        world.becomes(endpoint_id, DOWN)
        one.behaviour = None
        assert world.bot.complete("Hello").content == "one"


def test_route_names_the_endpoint(world: Pooled, one: Service, two: Service) -> None:
    """The same one to the same agent, of those that can serve; and not one that is taken away."""
    assert not world.selected.HasField("endpoint")
    names = {world.add(one.base_url): one, world.add(two.base_url): two}
    named = world.selected.endpoint
    assert named.base_url == names[named.endpoint_id].base_url
    assert named.state == pb.Endpoint.State.HOT
    assert {world.selected.endpoint.endpoint_id for _ in range(5)} == {named.endpoint_id}
    platform = world.platform
    platform.admin.DeleteEndpoint(pb.DeleteEndpointRequest(endpoint_id=named.endpoint_id))
    world.settled(platform)
    assert world.selected.endpoint.endpoint_id in names.keys() - {named.endpoint_id}


def test_a_model_is_loaded_once_for_all_who_want_it(cold: Pooled, ollama: FakeOllama) -> None:
    """On both servers at once."""
    endpoint_id = cold.add(ollama.base_url)
    assert cold.state(endpoint_id) is COLD
    ollama.load_seconds = 1.0
    with ThreadPoolExecutor(12) as pool:
        calls = [pool.submit(bot.complete, "Hello") for _ in range(6) for bot in cold.bots]
        eventually(lambda: cold.state(endpoint_id) is LOADING)
        assert {call.result().content for call in calls} == {"ollama"}
    assert len(ollama.loads) == 1
    found = cold.endpoints()[endpoint_id]
    assert (found.state, found.memory_bytes) == (pb.Endpoint.State.HOT, 5 * GIB)


def test_a_model_that_cannot_be_loaded_is_not_waited_for_by_each(
    cold: Pooled, ollama: FakeOllama, other: Service
) -> None:
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
    cold.add(ollama.base_url)
    tenant = cold.service.tenant
    hour = duration_pb2.Duration(seconds=3600)
    for limit_tokens in (1, 100_000):
        budget = pb.Budget(agent_id="bot", limit_tokens=limit_tokens, window=hour)
        tenant.admin.SetBudget(pb.SetBudgetRequest(budget=budget))
        cold.settled(tenant)
        if limit_tokens == 1:
            with pytest.raises(ResourceExhausted) as caught:
                cold.bot.complete("Hello")
            assert caught.value.reason == "BUDGET_EXCEEDED"
            assert not ollama.requests
    ollama.error = NEEDS_MEMORY
    only = pb.StringList(values=["pool/m"])
    with pytest.raises(FailedPrecondition):
        cold.bot.complete("Hello", allowed_models=only, timeout=timedelta(seconds=5))
    (left,) = tenant.admin.ListBudgets(pb.ListBudgetsRequest()).budgets
    assert (left.reserved_tokens, left.spent_tokens) == (0, 0)


def test_a_load_is_not_waited_for_longer_than_its_limit(
    cold: Pooled, ollama: FakeOllama, other: Service
) -> None:
    cold.service.app.model_pool.loading._load_seconds = 0.5
    endpoint_id = cold.add(ollama.base_url)
    ollama.load_seconds = 30
    assert cold.bot.complete("Hello").content == other.says
    cold.becomes(endpoint_id, DOWN)


def test_who_has_less_time_than_a_load_takes_is_told_and_the_load_goes_on(
    cold: Pooled, ollama: FakeOllama, other: Service
) -> None:
    endpoint_id = cold.add(ollama.base_url)
    ollama.load_seconds = 2.0
    done = cold.bot.complete("Hello", timeout=timedelta(seconds=1))
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
    ollama.delay_seconds = 8.0
    with ThreadPoolExecutor(1) as pool:
        call = pool.submit(cold.bots[1].complete, "Hello")
        eventually(lambda: cold.endpoints()[endpoint_id].in_flight == 1)
        cold.execute("update endpoints set state_time = now() - interval '1 hour'")
        cold.watch()
        assert cold.state(endpoint_id) is HOT
        assert call.result().content == "ollama"
    assert not ollama.unloads
    assert cold.endpoints()[endpoint_id].HasField("last_used_time")


def test_what_others_load_and_unload_is_noticed(cold: Pooled, ollama: FakeOllama) -> None:
    endpoint_id = cold.add(ollama.base_url)
    ollama.loaded["m:latest"] = -1
    cold.watch()
    cold.becomes(endpoint_id, HOT)
    ollama.loaded.clear()
    cold.watch()
    cold.becomes(endpoint_id, COLD)


def test_calls_are_counted_over_all_servers(database: str, vault: Vault, one: Service) -> None:
    with pooled(database, vault, api_base=NOBODY, servers=2) as world, ThreadPoolExecutor(4) as pool:
        endpoint_id = world.add(one.base_url)
        one.delay_seconds = 4.0
        calls = [pool.submit(bot.complete, "Hello") for bot in world.bots for _ in range(2)]
        eventually(lambda: world.endpoints()[endpoint_id].in_flight == 4)
        assert {call.result().content for call in calls} == {"one"}
        eventually(lambda: world.endpoints()[endpoint_id].in_flight == 0)


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


def test_unloading_waits_for_what_is_being_loaded(cold: Pooled, ollama: FakeOllama) -> None:
    endpoint_id = cold.add(ollama.base_url)
    ollama.load_seconds = 1.0
    first, second = (each.platform.admin for each in cold.servers)
    with ThreadPoolExecutor(1) as pool:
        load = pool.submit(first.LoadEndpoint, pb.LoadEndpointRequest(endpoint_id=endpoint_id))
        eventually(lambda: cold.state(endpoint_id) is LOADING)
        unloaded = second.UnloadEndpoint(pb.UnloadEndpointRequest(endpoint_id=endpoint_id))
        load.result()
    assert unloaded.state == pb.Endpoint.State.COLD
    assert (len(ollama.loads), ollama.unloads, ollama.loaded) == (1, ["m:latest"], {})


def test_a_server_that_stops_leaves_the_load_to_another(
    database: str, vault: Vault, ollama: FakeOllama
) -> None:
    with pooled(database, vault, api_base=ollama.base_url, **OLLAMA) as world:
        endpoint_id = world.add(ollama.base_url)
        ollama.load_seconds = 30
        bot = world.bot
        with ThreadPoolExecutor(1) as pool:
            call = pool.submit(bot.complete, "Hello", timeout=timedelta(seconds=20))
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


def test_who_says_no_to_a_load_says_why(cold: Pooled, ollama: FakeOllama) -> None:
    endpoint_id = cold.add(ollama.base_url)
    ollama.error = NEEDS_MEMORY
    with pytest.raises(FailedPrecondition, match="more system memory") as refused:
        cold.platform.admin.LoadEndpoint(pb.LoadEndpointRequest(endpoint_id=endpoint_id))
    assert refused.value.reason == "PROVIDER_INVALID_RESPONSE"
    gone = cold.add(NOBODY)
    with pytest.raises(Unavailable) as away:
        cold.platform.admin.LoadEndpoint(pb.LoadEndpointRequest(endpoint_id=gone))
    assert away.value.reason == "PROVIDER_UNAVAILABLE"


def test_a_load_that_failed_is_not_begun_again_by_the_clients_retries(
    cold: Pooled, ollama: FakeOllama
) -> None:
    """Each would take a minute and much memory, and end no better: whether to try again is the admin's."""
    cold.service.app.model_pool.loading._load_seconds = 0.5
    endpoint_id = cold.add(ollama.base_url)
    ollama.load_seconds = 30
    with pytest.raises(Unavailable) as failed:
        cold.platform.admin.LoadEndpoint(pb.LoadEndpointRequest(endpoint_id=endpoint_id))
    assert (failed.value.reason, failed.value.retry_after_seconds) == ("PROVIDER_UNAVAILABLE", 5)
    assert len(ollama.loads) == 1


def test_a_repeated_order_to_load_joins_the_first(cold: Pooled, ollama: FakeOllama) -> None:
    """As when the answer got lost: the client repeats it by itself, maybe at another server."""
    endpoint_id = cold.add(ollama.base_url)
    ollama.load_seconds = 1.0
    first, second = (each.platform.admin for each in cold.servers)
    order = pb.LoadEndpointRequest(endpoint_id=endpoint_id)
    lost = first.LoadEndpoint.future(order)
    eventually(lambda: cold.state(endpoint_id) is LOADING)
    lost.cancel()
    with ThreadPoolExecutor(2) as pool:
        loaded = [
            each.result()
            for each in (pool.submit(first.LoadEndpoint, order), pool.submit(second.LoadEndpoint, order))
        ]
    assert {each.state for each in loaded} == {pb.Endpoint.State.HOT}
    assert second.LoadEndpoint(order).state == pb.Endpoint.State.HOT
    assert len(ollama.loads) == 1


def test_what_is_wrong_with_an_endpoint_is_told(world: Pooled, one: Service) -> None:
    endpoint_id = world.add(one.base_url, endpoint_id="first")
    admin = world.platform.admin
    assert endpoint_id == "first"
    for base_url, reason in (
        ("http://10.0.0.1:8000/v1", "ADDRESS_FORBIDDEN"),
        (f"{one.base_url}?key=1", "INVALID_REQUEST"),
        ("ftp://127.0.0.1/", "ADDRESS_FORBIDDEN"),
    ):
        with pytest.raises(InvalidArgument) as refused:
            world.add(base_url)
        assert refused.value.reason == reason
    with pytest.raises(NotFound) as unknown:
        world.add(one.base_url, model_id="pool/unknown")
    assert unknown.value.reason == "MODEL_NOT_FOUND"
    with pytest.raises(InvalidArgument, match="endpoint first serves this model there already"):
        world.add(one.base_url, endpoint_id="second")
    with pytest.raises(InvalidArgument, match="nobody loads its model"):
        admin.UnloadEndpoint(pb.UnloadEndpointRequest(endpoint_id="first"))
    for call in (
        lambda: admin.DeleteEndpoint(pb.DeleteEndpointRequest(endpoint_id="none")),
        lambda: admin.LoadEndpoint(pb.LoadEndpointRequest(endpoint_id="none")),
        lambda: admin.UnloadEndpoint(pb.UnloadEndpointRequest(endpoint_id="none")),
    ):
        with pytest.raises(NotFound) as missing:
            call()
        assert missing.value.reason == "ENDPOINT_NOT_FOUND"


def test_an_endpoint_without_an_id_is_the_one_at_its_address(world: Pooled, one: Service) -> None:
    endpoint_id = world.add(one.base_url)
    assert world.add(f"{one.base_url}/", weight=7) == endpoint_id
    assert [each.weight for each in world.endpoints().values()] == [7]


def test_lists_of_endpoints_are_filtered_and_ordered(world: Pooled, one: Service, two: Service) -> None:
    names = [world.add(one.base_url), world.add(two.base_url), world.add(one.base_url, model_id="other/m")]

    def listed(**fields: object) -> list[str]:
        found = []
        request = pb.ListEndpointsRequest(page_size=2, **fields)  # type: ignore[arg-type]
        while True:
            page = world.platform.admin.ListEndpoints(request)
            found += [each.endpoint_id for each in page.endpoints]
            if not page.next_page_token:
                return found
            request.page_token = page.next_page_token

    assert listed() == sorted(names)
    assert set(listed(model_id="pool/m")) == set(names[:2])
    assert listed(state=pb.Endpoint.State.DOWN) == []
    world.execute("update endpoints set last_used_time = now() where endpoint_id = %(name)s", name=names[1])
    assert listed(order_by="last_used_time desc")[0] == names[1]
    assert set(listed(order_by="last_used_time")) == set(names)
