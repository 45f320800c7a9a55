"""What admins do to endpoints of the model pool: set, list, load and unload them."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from imrs_client import FailedPrecondition, InvalidArgument, NotFound, Unavailable
from imrs_client import v1 as pb
from imrs_server.domain.endpoint import EndpointState
from tests.support.pools import NEEDS_MEMORY, NOBODY, FakeOllama, Service
from tests.support.waiting import eventually

if TYPE_CHECKING:
    from tests.support.pooled import Pooled
    from tests.support.service import Service as Server

HOT, LOADING, COLD, DOWN = EndpointState


def test_unloading_waits_for_what_is_being_loaded(cold: Pooled, ollama: FakeOllama) -> None:
    endpoint_id = cold.add(ollama.base_url)
    first, second = (each.platform.admin for each in cold.servers)
    with ThreadPoolExecutor(2) as pool:
        with ollama.loading.closed():
            load = pool.submit(first.LoadEndpoint, pb.LoadEndpointRequest(endpoint_id=endpoint_id))
            eventually(lambda: cold.state(endpoint_id) is LOADING)
            unload = pool.submit(second.UnloadEndpoint, pb.UnloadEndpointRequest(endpoint_id=endpoint_id))
            eventually(lambda: is_asked(cold.servers[1]))
        load.result()
        unloaded = unload.result()
    assert unloaded.state == pb.Endpoint.State.COLD
    assert (len(ollama.loads), ollama.unloads, ollama.loaded) == (1, ["m:latest"], {})


def is_asked(server: Server) -> bool:
    """Whether a call of an admin is in hand there."""
    return any(server.app.calls_in_hand.values())


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
    endpoint_id = cold.add(ollama.base_url)
    order = cold.platform.admin.LoadEndpoint
    with ThreadPoolExecutor(1) as pool, ollama.loading.closed():
        load = pool.submit(order, pb.LoadEndpointRequest(endpoint_id=endpoint_id))
        eventually(lambda: bool(ollama.loads))
        flight = cold.service.app.model_pool.loading._flights[endpoint_id]
        flight.deadline.move(0)
        with pytest.raises(Unavailable) as failed:
            load.result()
    assert (failed.value.reason, failed.value.retry_after_seconds) == ("PROVIDER_UNAVAILABLE", 5)
    assert len(ollama.loads) == 1


def test_a_repeated_order_to_load_joins_the_first(cold: Pooled, ollama: FakeOllama) -> None:
    """As when the answer got lost: the client repeats it by itself, maybe at another server."""
    endpoint_id = cold.add(ollama.base_url)
    first, second = (each.platform.admin for each in cold.servers)
    order = pb.LoadEndpointRequest(endpoint_id=endpoint_id)
    with ThreadPoolExecutor(2) as pool:
        with ollama.loading.closed():
            lost = first.LoadEndpoint.future(order)
            eventually(lambda: cold.state(endpoint_id) is LOADING)
            lost.cancel()
            orders = [pool.submit(each.LoadEndpoint, order) for each in (first, second)]
            eventually(lambda: is_asked(cold.servers[1]))
        loaded = [each.result() for each in orders]
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
