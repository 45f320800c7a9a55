"""Connections that are kept for the next call: when they are and when not, and that the guard stays."""

from __future__ import annotations

import json
import ssl
from ipaddress import ip_network
from threading import Barrier, Thread
from typing import TYPE_CHECKING

import pytest

from imrs_server.adapters import chat, connections, wire
from imrs_server.adapters.addresses import AddressRules
from imrs_server.adapters.failures import CutOff
from imrs_server.adapters.http import Call, GuardedClient
from imrs_server.adapters.proxy import Proxy
from imrs_server.domain.chat import ChatFailure
from imrs_server.domain.errors import AddressForbidden
from tests.integration.adapters.test_tls import certificate
from tests.support import chat_shapes as shapes
from tests.support import chatting, patience
from tests.support import provider as act
from tests.support.chats import text_of
from tests.support.clock import Clock
from tests.support.forward_proxy import ForwardProxy
from tests.support.provider import FakeProvider

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.support.provider import Behaviour

LOOPBACK = AddressRules(allowed=(ip_network("127.0.0.0/8"),))


@pytest.fixture
def provider() -> Iterator[FakeProvider]:
    with FakeProvider(b"{}", keeps=True) as started:
        yield started


@pytest.fixture
def client() -> Iterator[GuardedClient]:
    found = GuardedClient(LOOPBACK, timing=patience.TIMING, kept=8)
    yield found
    found.close()


def get(client: GuardedClient, provider: FakeProvider, host: str = "127.0.0.1") -> object:
    return client.get_json(Call(url=f"http://{host}:{provider.port}/"), client.deadline(60))


def talk(client: GuardedClient, provider: FakeProvider, behaviour: Behaviour) -> str:
    provider.script(behaviour)
    access = shapes.access(f"{provider.url}/v1", "openai")
    return text_of(list(chat.stream(client, access, shapes.request(), client.deadline(60))))


def chunked(*pieces: bytes, end: bytes = b"0\r\n\r\n") -> Behaviour:
    """A stream that says itself where it ends, as providers' do."""

    def behave(handler: act._Handler) -> None:
        handler.raw(
            b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
        )
        for each in pieces:
            handler.raw(b"%x\r\n%s\r\n" % (len(each), each))
        handler.raw(end)

    return behave


def pieces(text: str) -> list[bytes]:
    choice = {"index": 0, "delta": {"content": text}, "finish_reason": "stop"}
    return [chatting.event({"choices": [choice], "usage": chatting.USAGE}), b"data: [DONE]\n\n"]


def test_calls_one_after_the_other_share_a_connection(client: GuardedClient, provider: FakeProvider) -> None:
    for _ in range(5):
        assert get(client, provider) == {}
    assert talk(client, provider, chatting.says("Hello")) == "Hello"

    assert provider.connections == 1


def test_a_streamed_answer_leaves_its_connection_to_the_next_call(
    client: GuardedClient, provider: FakeProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Nothing after the end of the answer is worth waiting for, but for the end of its transfer.
    monkeypatch.setattr(wire, "_FINISH_SECONDS", patience.SECONDS)
    for _ in range(3):
        assert talk(client, provider, chunked(*pieces("Hello"))) == "Hello"

    assert provider.connections == 1


def test_an_error_leaves_its_connection_too(client: GuardedClient, provider: FakeProvider) -> None:
    with pytest.raises(ChatFailure):
        talk(client, provider, chatting.refuses(503))
    assert talk(client, provider, chatting.says("Hello")) == "Hello"

    assert provider.connections == 1


def test_who_goes_away_in_the_middle_closes_the_connection(
    client: GuardedClient, provider: FakeProvider
) -> None:
    provider.script(chatting.goes_on("Hello"))
    access = shapes.access(f"{provider.url}/v1", "openai")
    answer = chat.stream(client, access, shapes.request(), client.deadline(60))
    next(answer)
    answer.close()  # type: ignore[attr-defined]
    assert get(client, provider) == {}

    assert provider.connections == 2


def test_an_answer_whose_transfer_does_not_end_costs_a_moment_and_its_connection(
    client: GuardedClient, provider: FakeProvider
) -> None:
    assert talk(client, provider, chunked(*pieces("Hello"), end=b"")) == "Hello"
    assert talk(client, provider, chunked(*pieces("again"))) == "again"

    assert provider.connections == 2


def test_a_connection_that_the_other_side_gave_up_is_made_anew_and_nothing_is_lost() -> None:
    # Who gave it up said so at once: how long that takes to be heard is up to the machine.
    client = GuardedClient(LOOPBACK, timing=patience.TIMING, kept=8, clock=Clock())
    with FakeProvider(b"{}") as hasty:
        for _ in range(20):
            assert get(client, hasty) == {}

        assert len(hasty.requests) == 20
    client.close()


def test_what_breaks_off_after_it_was_heard_is_not_sent_again(
    client: GuardedClient, provider: FakeProvider
) -> None:
    assert get(client, provider) == {}

    def cut(handler: act._Handler) -> None:
        handler.raw(b"HTTP/1.1 200 OK\r\ncontent-le")
        handler.close_connection = True

    provider.script(cut)
    with pytest.raises(CutOff):
        get(client, provider)

    assert len(provider.requests) == 2


def test_what_was_worked_on_and_then_dropped_without_a_word_is_not_sent_again(provider: FakeProvider) -> None:
    """A model that dies over a long prompt would be asked, and paid, twice for one attempt."""
    clock = Clock()
    client = GuardedClient(LOOPBACK, timing=patience.TIMING, kept=8, clock=clock)
    assert get(client, provider) == {}

    def dies(handler: act._Handler) -> None:
        clock.pass_by(2.0)
        handler.close_connection = True

    provider.script(dies)
    with pytest.raises(CutOff):
        get(client, provider)

    assert len(provider.requests) == 2
    client.close()


def test_every_call_at_a_time_has_a_connection_of_its_own(
    client: GuardedClient, provider: FakeProvider
) -> None:
    together = Barrier(4)

    def wait(handler: act._Handler) -> None:
        together.wait(patience.SECONDS)
        act.answer(b"{}")(handler)

    provider.script(*[wait] * 4)
    threads = [Thread(target=get, args=(client, provider)) for _ in range(4)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert get(client, provider) == {}

    assert provider.connections == 4


def test_a_connection_is_not_kept_for_ever(provider: FakeProvider) -> None:
    clock = Clock()
    client = GuardedClient(LOOPBACK, timing=patience.TIMING, kept=8, clock=clock)
    get(client, provider)
    clock.pass_by(connections.IDLE_SECONDS + 1)
    get(client, provider)
    assert provider.connections == 2
    for _ in range(20):
        clock.pass_by(connections.AGE_SECONDS / 10)
        get(client, provider)

    assert provider.connections == 3
    client.close()


def test_no_more_are_kept_than_wished_for_and_none_without_a_wish(provider: FakeProvider) -> None:
    with FakeProvider(b"{}", keeps=True) as other:
        one = GuardedClient(LOOPBACK, timing=patience.TIMING, kept=1)
        for _ in range(3):
            get(one, provider)
            get(one, other)
        assert provider.connections + other.connections == 6
        one.close()
    none = GuardedClient(LOOPBACK, timing=patience.TIMING)
    get(none, provider)
    assert provider.requests[-1].headers["connection"] == "close"
    get(none, provider)
    assert provider.connections == 5


def test_a_kept_connection_goes_where_it_was_allowed_to_and_a_new_one_is_checked(
    provider: FakeProvider,
) -> None:
    answers = iter([["127.0.0.1"], ["169.254.169.254"]])
    client = GuardedClient(
        LOOPBACK, timing=patience.TIMING, kept=8, resolver=lambda _host, _port: next(answers)
    )

    assert get(client, provider, "models.example") == {}
    assert get(client, provider, "models.example") == {}
    client.close()
    with pytest.raises(AddressForbidden):
        get(client, provider, "models.example")
    assert provider.connections == 1
    assert json.dumps(provider.requests[-1].headers["host"]) == f'"models.example:{provider.port}"'


def test_a_connection_under_another_name_is_another_connection(provider: FakeProvider) -> None:
    client = GuardedClient(
        LOOPBACK, timing=patience.TIMING, kept=8, resolver=lambda _host, _port: ["127.0.0.1"]
    )

    get(client, provider, "one.example")
    get(client, provider, "two.example")

    assert provider.connections == 2
    assert provider.requests[-1].headers["host"] == f"two.example:{provider.port}"
    client.close()


@pytest.fixture
def encrypted(tmp_path: Path) -> Iterator[tuple[FakeProvider, str]]:
    """A provider at https://models.example, and its certificate."""
    public, private = certificate(tmp_path, "models.example")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(public, private)
    started = FakeProvider(b"{}", keeps=True)
    started._server.socket = context.wrap_socket(started._server.socket, server_side=True)
    with started:
        yield started, str(public)


def greet(client: GuardedClient, port: int) -> object:
    call = Call(url=f"https://models.example:{port}/", headers={"authorization": "Bearer k"})
    return client.get_json(call, client.deadline(60))


def test_an_encrypted_connection_is_kept_too(encrypted: tuple[FakeProvider, str]) -> None:
    provider, bundle = encrypted
    client = GuardedClient(
        LOOPBACK,
        timing=patience.TIMING,
        kept=8,
        ca_bundle=bundle,
        resolver=lambda _host, _port: ["127.0.0.1"],
    )

    assert [greet(client, provider.port) for _ in range(3)] == [{}] * 3

    assert provider.connections == 1
    client.close()


def test_a_connection_through_a_proxy_is_kept_too_and_serves_no_other_way(
    encrypted: tuple[FakeProvider, str],
) -> None:
    provider, bundle = encrypted
    # Only what nobody can look up goes through it, and to the port of everybody.
    with ForwardProxy({"models.example:443": ("127.0.0.1", provider.port)}) as proxy:
        client = GuardedClient(
            kept=8,
            ca_bundle=bundle,
            proxy=Proxy.parse(f"http://127.0.0.1:{proxy.port}", ()),
            timing=patience.TIMING,
        )

        assert [greet(client, 443) for _ in range(3)] == [{}] * 3

        assert (proxy.asked, provider.connections) == (["models.example:443"], 1)
        client.close()
