"""Several servers on a port that is reserved for them."""

from __future__ import annotations

import pytest

from imrs_client.health import Health
from imrs_server.cli.ports import Reservation
from imrs_server.transport.server import SERVICES, Server
from imrs_server.transport.tokens import Trust, Verifier
from tests.support.waiting import eventually


def server(address: str) -> Server:
    servicers: dict[str, object] = {name: base() for name, (base, _) in SERVICES.items()}
    return Server(
        address,
        verifier=Verifier(Trust(secrets=(b"s" * 32,))),
        servicers=servicers,
        with_reflection=False,
        shared_port=True,
    )


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "0.0.0.0", "[::]", "[::1]"])
def test_they_serve_on_every_kind_of_address_and_go_one_by_one(host: str) -> None:
    try:
        reserved = Reservation(f"{host}:0")
    except OSError as error:
        pytest.skip(f"{host}: {error}")
    with reserved:
        first, second = servers = [server(reserved.address) for _ in range(2)]
        for each in servers:
            each.start()
            each.ready(serving=True)
        port = reserved.address.rpartition(":")[2]
        target = f"{host.replace('0.0.0.0', '127.0.0.1').replace('[::]', '[::1]')}:{port}"
        for ended in (first, second):
            health = Health(target)
            assert health.is_serving(10)
            health.close()
            ended.stop(0)
        health = Health(target)
        assert not health.is_serving()
        health.close()


def test_the_port_is_opened_by_start_and_not_before() -> None:
    with Reservation("127.0.0.1:0") as reserved:
        made = server(reserved.address)
        health = Health(reserved.address)
        assert not health.is_serving()
        assert f"127.0.0.1:{made.port}" == reserved.address
        made.start()
        made.ready(serving=True)
        eventually(health.is_serving)
        health.close()
        made.stop(0)
