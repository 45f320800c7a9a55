"""Calls go to endpoints of the model pool, each by its weight and load, and pass over those that fail."""

from __future__ import annotations

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from random import Random
from typing import TYPE_CHECKING

import pytest

from imrs_client import InvalidArgument, Unavailable
from imrs_client import v1 as pb
from imrs_server.domain.endpoint import EndpointState
from tests.support.breakers import HOUR_SECONDS
from tests.support.chatting import breaks_off, refuses
from tests.support.pooled import pooled
from tests.support.pools import NOBODY, Service
from tests.support.waiting import eventually

if TYPE_CHECKING:
    from tests.conftest import Vault
    from tests.support.pooled import Pooled

HOT, LOADING, COLD, DOWN = EndpointState


def equally_fast(world: Pooled) -> None:
    """Have all endpoints seem so: a moment in which this machine stood still would be one's fault."""
    world.service.app.model_pool.pool._clock = lambda: 0.0


def test_calls_go_to_the_endpoints_each_by_its_weight(world: Pooled, one: Service, two: Service) -> None:
    equally_fast(world)
    world.service.app.model_pool.pool._draw = Random(7).random
    world.add(one.base_url, weight=3)
    world.add(two.base_url)
    said = Counter(world.bot.complete("Hello").content for _ in range(120))
    assert said["one"] + said["two"] == 120
    assert 70 <= said["one"] <= 110


def test_among_calls_at_once_the_less_loaded_is_chosen(world: Pooled, one: Service, two: Service) -> None:
    equally_fast(world)
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
        world.breakers_due_in(HOUR_SECONDS)
        # The other server has not seen it fail, and does not try.
        for _ in range(20):
            assert not world.bots[1].complete("Hello").failed_attempts
        assert one.chats == 3

        one.behaviour = None
        world.breakers_due_in(0)
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
    world.breakers_due_in(HOUR_SECONDS)
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


def test_calls_are_counted_over_all_servers(database: str, vault: Vault, one: Service) -> None:
    with pooled(database, vault, api_base=NOBODY, servers=2) as world, ThreadPoolExecutor(4) as pool:
        endpoint_id = world.add(one.base_url)
        with one.answers.closed():
            calls = [pool.submit(bot.complete, "Hello") for bot in world.bots for _ in range(2)]
            eventually(lambda: world.endpoints()[endpoint_id].in_flight == 4)
        assert {call.result().content for call in calls} == {"one"}
        eventually(lambda: world.endpoints()[endpoint_id].in_flight == 0)
