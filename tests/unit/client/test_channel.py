from __future__ import annotations

import json

import grpc
import pytest

from imrs_client.channel import credentials_for, options, stays_here
from imrs_client.methods import METHODS, TIMEOUTS_SECONDS, service_config


@pytest.mark.parametrize(
    "target",
    [
        "127.0.0.1:50051",
        "127.8.9.1:1",
        "localhost:50051",
        "localhost",
        "[::1]:50051",
        "unix:/run/imrs.sock",
        "unix:///run/imrs.sock",
        "dns:///localhost:50051",
        "ipv4:127.0.0.1:50051",
        "ipv6:[::1]:50051",
    ],
)
def test_a_token_may_go_in_the_clear_where_nothing_leaves_the_machine(target: str) -> None:
    assert stays_here(target)
    assert credentials_for(target, None, insecure=False) is None


@pytest.mark.parametrize(
    "target",
    [
        "imrs.example.com:443",
        "10.0.0.1:50051",
        "0.0.0.0:50051",
        "localhost.example.com:1",
        "127.0.0.1.example.com:50051",
        "[2001:db8::1]:50051",
        "dns:///imrs.example.com:443",
        "dns://127.0.0.1/imrs.example.com:443",
        "ipv4:127.0.0.1:50051,10.0.0.1:50051",
    ],
)
def test_elsewhere_it_goes_over_tls_unless_said_otherwise(target: str) -> None:
    assert not stays_here(target)
    assert credentials_for(target, None, insecure=False) is not None
    assert credentials_for(target, None, insecure=True) is None


def test_given_credentials_are_used_and_do_not_mix_with_insecure() -> None:
    given = grpc.ssl_channel_credentials()
    assert credentials_for("127.0.0.1:1", given, insecure=False) is given
    with pytest.raises(ValueError, match="contradict"):
        credentials_for("127.0.0.1:1", given, insecure=True)


def test_the_service_config_repeats_exactly_what_is_safe_to_repeat() -> None:
    [config] = json.loads(service_config())["methodConfig"]
    names = {f"/{name['service']}/{name['method']}" for name in config["name"]}
    once = {"CreateAgent", "CreateModel", "CloneAgent", "IssueToken", "Complete", "Embed", "UndoConfig"}
    assert {method.name for path, method in METHODS.items() if path not in names} == once
    assert config["retryPolicy"]["retryableStatusCodes"] == ["UNAVAILABLE"]
    assert ("grpc.service_config", service_config()) in options()


def test_timeouts_are_for_methods_that_exist() -> None:
    assert set(TIMEOUTS_SECONDS) <= {method.name for method in METHODS.values()}
