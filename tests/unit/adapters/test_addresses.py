"""What may be called, and in which spelling."""

from __future__ import annotations

from ipaddress import ip_address, ip_network

import pytest

from imrs_server.adapters.addresses import AddressRules
from imrs_server.domain.errors import AddressForbidden, InvalidRequest

PUBLIC = AddressRules()
LOOPBACK = AddressRules(allowed=(ip_network("127.0.0.0/8"), ip_network("::1/128")))
CORPORATE = AddressRules(allowed=(ip_network("10.0.0.0/8"),), ports=frozenset({443, 8443}))

FORBIDDEN = [
    "http://169.254.169.254/latest/meta-data",
    "https://169.254.169.254/v1",
    "https://127.0.0.1/v1",
    "https://127.1/v1",
    "https://2130706433/v1",
    "https://0x7f000001/v1",
    "https://0177.0.0.1/v1",
    "https://0x7f.0.0.0x1/v1",
    "https://10.0.0.1/v1",
    "https://100.64.0.1/v1",
    "https://0.0.0.0/v1",
    "https://[::]/v1",
    "https://[::1]/v1",
    "https://[::ffff:127.0.0.1]/v1",
    "https://[64:ff9b::a00:1]/v1",
    "https://[2002:7f00:1::]/v1",
    "https://[fe80::1%25eth0]/v1",
    "https://[fd00:ec2::254]/v1",
    "https://localhost/v1",
    "file:///etc/passwd",
    "https://user:hunter2@api.openai.com/v1",
    # Beyond the list of 21.
    "https://192.168.1.1/v1",
    "https://172.16.0.1/v1",
    "https://192.0.0.192/v1",
    "https://168.63.129.16/v1",
    "https://100.100.100.200/v1",
    "https://198.18.0.1/v1",
    "https://224.0.0.1/v1",
    "https://255.255.255.255/v1",
    "https://[::127.0.0.1]/v1",
    "https://[2001:0:7f00:1::]/v1",
    "https://[fc00::1]/v1",
    "https://[ff02::1]/v1",
    "https://[2001:db8::1]/v1",
    "https://[3fff::1]/v1",
    "https://[fec0::1]/v1",
    "https://sub.localhost./v1",
    "http://api.openai.com/v1",
    "gopher://api.openai.com/v1",
    "https://api.openai.com:22/v1",
    "https://api.openai.com:0/v1",
    "https://api.openai.com:/v1",
    "https://api.openai.com/v1#fragment",
    "https://%6cocalhost/v1",
    "https://api..openai.com/v1",
    "https://8.8.8.8./v1",
    "https://08.8.8.8/v1",
]


@pytest.mark.parametrize("url", FORBIDDEN)
def test_an_address_that_may_not_be_called_is_refused_without_dns(url: str) -> None:
    with pytest.raises(AddressForbidden) as caught:
        PUBLIC.check_url(url)

    assert "hunter2" not in str(caught.value)
    assert "hunter2" not in repr(caught.value.metadata)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "api.openai.com/v1",
        "/v1",
        "https://",
        "https:///v1",
        "https://①②⑦.⓪.⓪.①/v1",
        "https://api.openai.com\\@evil.example/v1",
        "https://api.openai.com/a b",
        "https://api.openai.com/\n",
        "https://[::1/v1",
        "https://api.openai.com:port/v1",
        "https://h/" + "a" * 2048,
    ],
)
def test_what_is_no_url_is_an_invalid_request_that_names_the_field(url: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        PUBLIC.check_url(url, field="api_base")

    assert [violation.field for violation in caught.value.violations] == ["api_base"]


@pytest.mark.parametrize(
    "url",
    [
        "https://api.openai.com/v1",
        "https://openrouter.ai:443/api/v1/models?a=b",
        "https://8.8.8.8/v1",
        "https://[2606:4700:4700::1111]/v1",
        "https://[64:ff9b::808:808]/v1",
        "https://my_host.example-1.com./v1",
    ],
)
def test_public_addresses_over_https_pass(url: str) -> None:
    PUBLIC.check_url(url)


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:8000/v1", "http://[::1]:8000/v1", "http://localhost:11434"]
)
def test_allowed_networks_open_plain_http_and_every_port(url: str) -> None:
    LOOPBACK.check_url(url)


@pytest.mark.parametrize(
    "url",
    [
        "https://169.254.169.254/v1",
        "https://[::ffff:169.254.169.254]/v1",
        "https://0.0.0.0/v1",
        "https://[fd00:ec2::254]/v1",
        "https://100.100.100.200/v1",
    ],
)
def test_metadata_addresses_stay_forbidden_whatever_is_configured(url: str) -> None:
    everything = AddressRules(allowed=(ip_network("0.0.0.0/0"), ip_network("::/0")))

    with pytest.raises(AddressForbidden):
        everything.check_url(url)


def test_configured_ports_count_for_public_addresses() -> None:
    CORPORATE.check_url("https://8.8.8.8:8443/v1")
    with pytest.raises(AddressForbidden, match="port 8444 is not one of 443, 8443"):
        CORPORATE.check_url("https://8.8.8.8:8444/v1")


def test_a_name_with_open_networks_is_decided_at_the_connect() -> None:
    CORPORATE.check_url("http://models.corp.example:8000/v1")
    CORPORATE.check_address(ip_address("10.1.2.3"), host="models.corp.example", port=8000, scheme="http")
    with pytest.raises(AddressForbidden, match="https"):
        CORPORATE.check_address(ip_address("8.8.8.8"), host="models.corp.example", port=443, scheme="http")
    with pytest.raises(AddressForbidden, match="private"):
        CORPORATE.check_address(ip_address("192.168.0.1"), host="h.example", port=443, scheme="https")


def test_localhost_needs_loopback_to_be_allowed() -> None:
    with pytest.raises(AddressForbidden):
        CORPORATE.check_url("http://localhost:8000/v1")


@pytest.mark.parametrize("address", ["2002:a00:1::", "64:ff9b::7f00:1", "::ffff:10.0.0.1", "::10.0.0.1"])
def test_an_embedded_address_counts_as_itself(address: str) -> None:
    with pytest.raises(AddressForbidden, match="private"):
        PUBLIC.check_address(ip_address(address), host="h.example", port=443, scheme="https")


@pytest.mark.parametrize(
    "endpoint",
    ["models", "//evil.example/models", "/\\evil.example", "https://evil.example", "@evil.example/"],
)
def test_models_endpoint_starts_with_exactly_one_slash(endpoint: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        PUBLIC.check_api_base("https://api.openai.com/v1", endpoint)

    assert caught.value.violations[0].field == "models_endpoint"


def test_the_base_and_the_endpoint_are_checked_together() -> None:
    PUBLIC.check_api_base("https://api.openai.com/v1/", "/models?limit=1000")
    with pytest.raises(AddressForbidden, match="fragment"):
        PUBLIC.check_api_base("https://api.openai.com/v1", "/models#x")
    with pytest.raises(InvalidRequest, match="query"):
        PUBLIC.check_api_base("https://api.openai.com/v1?a=", "/models")
