"""Who loads models: Ollama and the manager of a pool, played on loopback."""

from __future__ import annotations

from datetime import timedelta
from ipaddress import ip_network
from typing import TYPE_CHECKING, Any

import pytest

from imrs_server.adapters.addresses import AddressRules
from imrs_server.adapters.failures import TimedOut, Unreachable, Unusable
from imrs_server.adapters.http import GuardedClient
from imrs_server.adapters.model_pool import Manager, Ollama, Place, Sighting, keeper_of, knock
from imrs_server.adapters.providers.dialect import Access
from imrs_server.domain.endpoint import EndpointState
from imrs_server.domain.model import ModelType
from imrs_server.domain.provider import Provider, ProviderType
from imrs_server.domain.secret import Secret
from tests.support import patience
from tests.support.pools import GIB, NEEDS_MEMORY, FakeManager, FakeOllama, Service
from tests.support.provider import FakeProvider, after, answer, fail, hang
from tests.support.tcp_relay import nobody

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.provider import Behaviour, Received

HOT, COLD, LOADING = EndpointState.HOT, EndpointState.COLD, EndpointState.LOADING
KEY = "sk-of-the-pool-0123456789"
CLIENT = GuardedClient(AddressRules(allowed=(ip_network("127.0.0.0/8"),)), timing=patience.TIMING)


def provider(api_base: str, *, pool_url: str = "", dialect: str = "ollama") -> Provider:
    return Provider(
        provider_id="p",
        display_name="P",
        provider_type=ProviderType.CUSTOM,
        dialect=dialect,
        api_base=api_base,
        models_endpoint="/models",
        pool_url=pool_url,
    )


def place(upstream: FakeProvider, name: str = "llama3.1", **fields: Any) -> Place:
    access = Access(provider=provider(f"{upstream.url}/v1"), key=Secret(KEY))
    return Place(access=access, external_id=name, **fields)


def managed(manager: FakeManager, base_url: str, name: str = "qwen2.5-coder:7b", **fields: Any) -> Place:
    found = provider(base_url, pool_url=manager.url, dialect="openai")
    return Place(access=Access(provider=found, key=Secret(KEY)), external_id=name, **fields)


@pytest.fixture
def ollama() -> Iterator[FakeOllama]:
    with FakeOllama() as found:
        yield found


@pytest.fixture
def manager() -> Iterator[FakeManager]:
    with FakeManager({"qwen2.5-coder:7b": 8051, "llama3.1:8b": 8052}) as found:
        yield found


def test_who_loads_is_the_manager_else_ollama_else_nobody() -> None:
    assert isinstance(keeper_of(provider("http://h:1", pool_url="http://h:2")), Manager)
    assert isinstance(keeper_of(provider("http://h:1")), Ollama)
    assert keeper_of(provider("http://h:1", dialect="vllm")) is None


def test_ollama_loads_keeps_and_unloads(ollama: FakeOllama) -> None:
    there, keeper = place(ollama), Ollama()
    assert keeper.look(CLIENT, there, CLIENT.deadline(60)) == Sighting(state=COLD)
    assert keeper.load(CLIENT, there, CLIENT.deadline(60)) == Sighting(state=HOT, memory_bytes=5 * GIB)
    assert ollama.loads == [{"model": "llama3.1", "keep_alive": -1, "stream": False}]
    assert ollama.requests[-1].headers["authorization"] == f"Bearer {KEY}"
    keeper.unload(CLIENT, there, CLIENT.deadline(60))
    assert keeper.look(CLIENT, there, CLIENT.deadline(60)).state is COLD


def test_ollama_frees_the_memory_by_itself_where_we_no_longer_can(ollama: FakeOllama) -> None:
    Ollama().load(CLIENT, place(ollama, ttl=timedelta(minutes=15)), CLIENT.deadline(60))
    assert ollama.loads[0]["keep_alive"] == "960s"


def test_a_model_that_embeds_is_loaded_by_embedding(ollama: FakeOllama) -> None:
    Ollama().load(CLIENT, place(ollama, model_type=ModelType.EMBEDDING), CLIENT.deadline(60))
    assert ollama.requests[0].path == "/api/embed"
    assert ollama.loads == [{"model": "llama3.1", "keep_alive": -1, "input": []}]


@pytest.mark.parametrize(
    ("asked", "running", "state"),
    [
        ("llama3.1", "llama3.1:latest", HOT),
        ("llama3.1:latest", "llama3.1:latest", HOT),
        ("llama3.1:8b", "llama3.1:70b", COLD),
        ("hf.co/us/m:Q4", "hf.co/us/m:Q4", HOT),
        ("llama3.1", "llama3.1:8b", COLD),
    ],
)
def test_a_name_without_a_tag_is_that_of_latest(
    ollama: FakeOllama, asked: str, running: str, state: EndpointState
) -> None:
    ollama.loaded[running] = -1
    assert Ollama().look(CLIENT, place(ollama, asked), CLIENT.deadline(60)).state is state


def test_why_ollama_cannot_load_is_quoted(ollama: FakeOllama) -> None:
    ollama.error = f"{NEEDS_MEMORY}, said to {KEY}"
    with pytest.raises(Unusable) as failure:
        Ollama().load(CLIENT, place(ollama), CLIENT.deadline(60))
    assert failure.value.detail == f"status 500: {NEEDS_MEMORY}, said to ***"


def test_a_load_is_given_up_at_its_deadline(ollama: FakeOllama) -> None:
    ollama.load_seconds = 30
    deadline = CLIENT.deadline(60)
    order = ollama.next_behaviour

    def hurry(received: Received) -> Behaviour:
        return after(lambda: deadline.move(0.3), order(received))

    ollama.next_behaviour = hurry  # type: ignore[method-assign]  # a behaviour of the test's own
    with pytest.raises(TimedOut):
        Ollama().load(CLIENT, place(ollama), deadline)


@pytest.mark.parametrize("waits", [True, False])
def test_a_manager_loads_and_unloads_whether_it_waits_or_not(manager: FakeManager, waits: bool) -> None:
    manager.waits, manager.load_seconds = waits, 0.7
    there, keeper = managed(manager, "http://127.0.0.1:8051/v1"), Manager()
    assert keeper.look(CLIENT, there, CLIENT.deadline(60)) == Sighting(state=COLD)
    assert keeper.load(CLIENT, there, CLIENT.deadline(60)) == Sighting(state=HOT, memory_bytes=4200 << 20)
    keeper.unload(CLIENT, there, CLIENT.deadline(60))
    assert keeper.look(CLIENT, there, CLIENT.deadline(60)).state is COLD
    assert manager.orders == ["load qwen2.5-coder:7b", "unload qwen2.5-coder:7b"]


@pytest.mark.parametrize(
    ("word", "state"),
    [
        ("HOT", HOT),
        ("COOLING", HOT),
        ("WARMING", LOADING),
        ("COLD", COLD),
        ("UNLOADING", COLD),
        ("ready", HOT),
    ],
)
def test_the_states_of_managers(manager: FakeManager, word: str, state: EndpointState) -> None:
    manager.states["llama3.1:8b"] = word
    manager._ready["llama3.1:8b"] = float("inf")
    there = managed(manager, "http://127.0.0.1:8052/v1", "llama3.1:8b")
    assert Manager().look(CLIENT, there, CLIENT.deadline(60)).state is state


def test_a_state_of_its_own_is_not_guessed_at(manager: FakeManager) -> None:
    manager.states["llama3.1:8b"] = "DREAMING"
    with pytest.raises(Unusable, match="DREAMING"):
        Manager().look(CLIENT, managed(manager, "http://127.0.0.1:1", "llama3.1:8b"), CLIENT.deadline(60))


def test_an_only_endpoint_goes_where_the_manager_put_the_model(manager: FakeManager) -> None:
    """Ports are given out anew with each load; localhost is the manager's own."""
    there = managed(manager, "http://127.0.0.1:9999/v1")
    assert Manager().load(CLIENT, there, CLIENT.deadline(60)).base_url == "http://127.0.0.1:8051/v1"


def test_one_of_several_endpoints_is_the_instance_at_its_address(manager: FakeManager) -> None:
    manager.states["qwen2.5-coder:7b"] = "HOT"
    here = managed(manager, "http://localhost:8051/v1", follows=False)
    elsewhere = managed(manager, "http://127.0.0.1:8059/v1", follows=False)
    assert Manager().look(CLIENT, here, CLIENT.deadline(60)).state is HOT
    assert Manager().look(CLIENT, elsewhere, CLIENT.deadline(60)) == Sighting(state=COLD)


def test_an_address_that_may_not_be_called_is_not_followed() -> None:
    body = b'{"models": [{"model_id": "m", "state": "HOT", "endpoint": "http://169.254.169.254:80"}]}'
    with FakeProvider() as upstream:
        upstream.page("/models", body)
        found = provider("http://127.0.0.1:1/v1", pool_url=upstream.url, dialect="openai")
        there = Place(access=Access(provider=found), external_id="m")
        with pytest.raises(Unusable, match=r"169\.254\.169\.254 may not be called"):
            Manager().look(CLIENT, there, CLIENT.deadline(60))


def test_why_a_manager_cannot_load_is_quoted(manager: FakeManager) -> None:
    manager.error = "No available ports"
    with pytest.raises(Unusable, match="status 503: No available ports"):
        Manager().load(CLIENT, managed(manager, "http://127.0.0.1:8051"), CLIENT.deadline(60))
    manager.error = ""
    with pytest.raises(Unusable, match="status 404: Model gone not registered"):
        Manager().load(CLIENT, managed(manager, "http://127.0.0.1:8051", "gone"), CLIENT.deadline(60))


def test_a_name_with_slashes_is_one_step_of_the_path(manager: FakeManager) -> None:
    manager.ports["meta-llama/Llama 3"] = 8053
    manager.states["meta-llama/Llama 3"] = "COLD"
    Manager().load(
        CLIENT, managed(manager, "http://127.0.0.1:8053", "meta-llama/Llama 3"), CLIENT.deadline(60)
    )
    assert manager.requests[0].path == "/models/meta-llama%2FLlama%203/load"


@pytest.mark.parametrize(
    "behaviour",
    [
        answer(b"<html>"),
        answer(b'"no"'),
        answer(b'{"models": 7}'),
        fail(302, location="http://127.0.0.1:1/"),
    ],
    ids=["html", "a text", "no list", "redirect"],
)
def test_what_is_no_answer_is_unusable(behaviour: Any) -> None:
    with FakeProvider() as upstream:
        upstream.script(behaviour)
        with pytest.raises(Unusable):
            Ollama().look(CLIENT, place(upstream), CLIENT.deadline(60))


def test_silence_ends_with_the_deadline() -> None:
    deadline = CLIENT.deadline(60)
    with FakeProvider() as upstream:
        upstream.script(after(lambda: deadline.move(0.3), hang))
        with pytest.raises(TimedOut):
            Ollama().look(CLIENT, place(upstream), deadline)


def test_who_is_not_there_is_unreachable() -> None:
    with nobody() as address:
        there = Place(access=Access(provider=provider(f"http://{address}")), external_id="m")
        with pytest.raises(Unreachable):
            Ollama().look(CLIENT, there, CLIENT.deadline(60))
        with pytest.raises(Unreachable):
            knock(CLIENT, there.access, CLIENT.deadline(60))


def test_whoever_answers_a_knock_is_there_but_for_a_failure_of_its_own() -> None:
    with Service() as service:
        access = Access(provider=provider(service.base_url, dialect="vllm"))
        knock(CLIENT, access, CLIENT.deadline(60))
    with FakeProvider() as upstream:
        access = Access(provider=provider(upstream.url, dialect="vllm"))
        upstream.script(fail(401), fail(503))
        knock(CLIENT, access, CLIENT.deadline(60))
        with pytest.raises(Unreachable):
            knock(CLIENT, access, CLIENT.deadline(60))
