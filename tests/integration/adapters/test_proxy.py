"""Calls through a company's proxy: by CONNECT, TLS to the provider itself, and no way round the guard."""

from __future__ import annotations

import socket
import ssl
import threading
import time
from ipaddress import ip_network
from typing import TYPE_CHECKING

import pytest

from imrs_server.adapters.addresses import AddressRules
from imrs_server.adapters.failures import Unreachable
from imrs_server.adapters.http import Call, GuardedClient, Timing
from imrs_server.adapters.proxy import Proxy
from imrs_server.domain.errors import AddressForbidden
from tests.integration.adapters.test_tls import Hello, Quiet, certificate
from tests.support import patience
from tests.support.forward_proxy import ForwardProxy
from tests.support.provider import FakeProvider
from tests.support.tcp_relay import nobody

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

KEY = "sk-sentinel-0123456789"
LOOPBACK = AddressRules(allowed=(ip_network("127.0.0.0/8"),))


@pytest.fixture
def served(tmp_path: Path) -> Iterator[tuple[tuple[str, int], Path]]:
    """Where the TLS server for models.example is, and its certificate."""
    public, private = certificate(tmp_path, "models.example")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(public, private)
    server = Quiet(("127.0.0.1", 0), Hello)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield ("127.0.0.1", server.server_port), public
    server.shutdown()
    server.server_close()
    thread.join()


def unresolvable(host: str, port: int) -> list[str]:
    """The names of the world are not known inside; the proxy is written as an address."""
    raise OSError


def client(
    proxy: ForwardProxy, rules: AddressRules | None = None, *, login: str = "", ca: Path | None = None
) -> GuardedClient:
    url = f"http://{login + '@' if login else ''}127.0.0.1:{proxy.port}"
    return GuardedClient(
        rules,
        timing=patience.TIMING,
        ca_bundle=str(ca) if ca else None,
        proxy=Proxy.parse(url, (".inside.example", "direct.example")),
        resolver=unresolvable,
    )


def get(through: GuardedClient, url: str, seconds: float = 60.0) -> object:
    call = Call(url=url, headers={"authorization": f"Bearer {KEY}"})
    return through.get_json(call, through.deadline(seconds))


def test_a_public_name_is_called_through_the_proxy_which_resolves_it(
    served: tuple[tuple[str, int], Path],
) -> None:
    place, bundle = served
    with ForwardProxy({"models.example:443": place}) as proxy:
        assert get(client(proxy, ca=bundle), "https://models.example/v1/models") == {}
        assert proxy.asked == ["models.example:443"]


def test_the_certificate_is_the_providers_not_the_proxys(served: tuple[tuple[str, int], Path]) -> None:
    place, bundle = served
    with ForwardProxy({"other.example:443": place, "models.example:443": place}) as proxy:
        with pytest.raises(Unreachable, match="certificate"):
            get(client(proxy, ca=bundle), "https://other.example/")
        with pytest.raises(Unreachable, match="certificate"):
            get(client(proxy), "https://models.example/")


def test_the_proxy_may_want_a_login_that_is_told_to_nobody(served: tuple[tuple[str, int], Path]) -> None:
    place, bundle = served
    with ForwardProxy({"models.example:443": place}, login="imrs:p@ss word") as proxy:
        good = client(proxy, login="imrs:p%40ss%20word", ca=bundle)
        assert get(good, "https://models.example/") == {}
        for login in ("", "imrs:wrong"):
            with pytest.raises(Unreachable, match="proxy does not let it through") as caught:
                get(client(proxy, login=login, ca=bundle), "https://models.example/")
            assert "wrong" not in f"{caught.value!r} {caught.value.__cause__!r}"
    assert "p@ss" not in repr(Proxy.parse("http://imrs:p%40ss@proxy.example:3128"))


@pytest.mark.parametrize("rules", [AddressRules(), LOOPBACK], ids=["public", "with loopback"])
@pytest.mark.parametrize(
    "url",
    [
        "http://models.example/v1",
        "https://models.example:22/v1",
        "http://169.254.169.254/latest/meta-data",
        "https://169.254.169.254/",
        "https://10.0.0.1/",
        "https://[::ffff:10.0.0.1]/",
        "https://2130706433/",
    ],
)
def test_what_the_proxy_must_not_be_asked_for_it_is_not_asked_for(rules: AddressRules, url: str) -> None:
    with ForwardProxy({}) as proxy:
        with pytest.raises(AddressForbidden):
            get(client(proxy, rules), url)
        assert proxy.asked == []


def test_addresses_local_names_and_what_the_operator_names_go_without_the_proxy() -> None:
    with FakeProvider(b"{}") as upstream, ForwardProxy({}) as proxy:
        assert get(client(proxy, LOOPBACK), upstream.url) == {}
        for host in ("direct.example", "llm.inside.example", "inside.example"):
            # They are looked up here, so they are checked here.
            with pytest.raises(Unreachable, match="no connection"):
                get(client(proxy, LOOPBACK), f"http://{host}:{upstream.port}/")
        inside = GuardedClient(
            LOOPBACK,
            timing=patience.TIMING,
            proxy=Proxy.parse(f"http://127.0.0.1:{proxy.port}", (".inside.example",)),
            resolver=lambda host, port: ["127.0.0.1"],
        )
        assert get(inside, f"http://llm.inside.example:{upstream.port}/") == {}
        assert proxy.asked == []


def test_a_proxy_that_refuses_hangs_or_is_not_there_ends_soon() -> None:
    with ForwardProxy({}) as proxy, pytest.raises(Unreachable, match="proxy does not let it through"):
        get(client(proxy), "https://models.example/")
    started = time.monotonic()
    with nobody() as address, pytest.raises(Unreachable, match="no connection"):
        get(
            GuardedClient(proxy=Proxy.parse(f"http://{address}"), timing=patience.TIMING),
            "https://models.example/",
        )
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        hurried = Timing(connect_seconds=patience.SECONDS, read_seconds=0.5, tries=1)
        hung = GuardedClient(proxy=Proxy.parse(url), timing=hurried)
        with pytest.raises(Unreachable, match="no answer in time"):
            get(hung, "https://models.example/")
    assert time.monotonic() - started < 20  # the silent one never answers


@pytest.mark.parametrize("text", ["proxy:3128", "socks5://proxy:1080", "http://", "http://proxy/path", ""])
def test_what_is_no_proxy_is_told_without_repeating_it(text: str) -> None:
    with pytest.raises(ValueError, match="must be http") as caught:
        Proxy.parse(text)
    assert text not in str(caught.value) or text in ("", "http://")
