"""Where figures are served."""

from __future__ import annotations

import socket
from typing import Any

import pytest
from pydantic import SecretStr

from imrs_server.cli.environment import AddressTaken
from imrs_server.cli.serve import _figures_at
from imrs_server.settings import Settings


def settings(**changes: Any) -> Settings:
    known: dict[str, Any] = {
        "database_url": SecretStr("postgresql://127.0.0.1/x"),
        "vault_addr": "http://127.0.0.1:9",
        "vault_role_id": "r",
        "vault_secret_id": SecretStr("s"),
        "jwt_secrets": (SecretStr("x" * 32),),
    }
    return Settings(**(known | changes))


def test_figures_have_an_address_of_their_own_unless_it_is_said_to_be_the_same() -> None:
    assert _figures_at(settings(http_addr="127.0.0.1:8080", metrics_addr="127.0.0.1:8080")) is None
    own = _figures_at(settings(http_addr="127.0.0.1:0", metrics_addr="127.0.0.1:0"))
    assert own is not None
    with own:
        assert own.address.startswith("127.0.0.1:")
        assert not own.address.endswith(":0")


def test_an_address_that_is_taken_is_told() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = "{}:{}".format(*taken.getsockname())
        with pytest.raises(AddressTaken, match="IMRS_METRICS_ADDR"):
            _figures_at(settings(metrics_addr=address))
