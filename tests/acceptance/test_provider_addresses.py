"""Addresses that nobody may make the server call, and CheckProvider, over the API."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

from imrs_client import InvalidArgument
from imrs_client.v1 import (
    CheckProviderRequest,
    CreateProviderRequest,
    GetProviderRequest,
    ListProvidersRequest,
    Provider,
    UpdateProviderRequest,
)
from tests.support import dialects
from tests.support import provider as act
from tests.support.provider import FakeProvider
from tests.support.service import Service, serving
from tests.support.tcp_relay import nobody

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.conftest import Vault
    from tests.support.cluster import Cluster

FORBIDDEN = (
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
    # Digits that only some parsers take for digits.
    "https://①②⑦.⓪.⓪.①/v1",
)
# What a path could do to the address in front of it.
ENDPOINTS = (
    "@169.254.169.254/models",
    ":80@169.254.169.254/models",
    ".evil.example/models",
    "//169.254.169.254/models",
    "/\\169.254.169.254/models",
    "http://169.254.169.254/models",
    "/models#fragment",
    "/models\r\nHost: evil.example",
)
REASONS = {"ADDRESS_FORBIDDEN", "INVALID_REQUEST"}
GOOD = "https://api.openai.com/v1"


@pytest.fixture(scope="module")
def strict(
    request: pytest.FixtureRequest, postgres_clusters: Callable[[int], Cluster], shared_vault: Vault
) -> Iterator[Service]:
    """A server that may call public addresses only, with one provider."""
    cluster = postgres_clusters(request.config.getoption("--postgres"))
    with cluster.database() as dsn, serving(dsn, shared_vault, provider_allow=()) as service:
        provider = Provider(provider_id="good", provider_type=Provider.Type.OPENAI, api_base=GOOD)
        service.platform.admin.CreateProvider(CreateProviderRequest(provider=provider))
        yield service


def refused(call: Callable[[], object]) -> None:
    started = time.monotonic()
    with pytest.raises(InvalidArgument) as caught:
        call()
    assert caught.value.reason in REASONS
    assert "hunter2" not in f"{caught.value} {caught.value.metadata}"
    # Nothing was looked up, nothing was connected to.
    assert time.monotonic() - started < 10


@pytest.mark.parametrize("validate_only", [True, False], ids=["preview", "write"])
@pytest.mark.parametrize("address", FORBIDDEN)
def test_a_forbidden_api_base_is_refused(strict: Service, address: str, validate_only: bool) -> None:
    admin = strict.platform.admin
    fresh = Provider(provider_id="bad", provider_type=Provider.Type.CUSTOM, api_base=address, api_key="sk-x")
    known = Provider(provider_id="good", api_base=address)

    refused(lambda: admin.CreateProvider(CreateProviderRequest(provider=fresh, validate_only=validate_only)))
    refused(lambda: admin.UpdateProvider(UpdateProviderRequest(provider=known, validate_only=validate_only)))

    unchanged(strict)


@pytest.mark.parametrize("endpoint", [*ENDPOINTS, *(each for each in FORBIDDEN if "//" in each)])
def test_a_models_endpoint_that_leads_elsewhere_is_refused(strict: Service, endpoint: str) -> None:
    admin = strict.platform.admin
    fresh = Provider(
        provider_id="bad", provider_type=Provider.Type.CUSTOM, api_base=GOOD, models_endpoint=endpoint
    )
    known = Provider(provider_id="good", models_endpoint=endpoint)

    refused(lambda: admin.CreateProvider(CreateProviderRequest(provider=fresh)))
    refused(lambda: admin.UpdateProvider(UpdateProviderRequest(provider=known)))

    unchanged(strict)


def unchanged(strict: Service) -> None:
    listed = strict.platform.admin.ListProviders(ListProvidersRequest(show_deleted=True))
    assert [each.provider_id for each in listed.providers] == ["good"]
    kept = strict.platform.admin.GetProvider(GetProviderRequest(provider_id="good"))
    assert (kept.api_base, kept.models_endpoint) == (GOOD, "/models")


def test_an_unknown_dialect_is_refused_with_those_that_there_are(strict: Service) -> None:
    provider = Provider(
        provider_id="bad", provider_type=Provider.Type.CUSTOM, api_base=GOOD, dialect="klingon"
    )

    with pytest.raises(InvalidArgument, match="anthropic, azure"):
        strict.platform.admin.CreateProvider(CreateProviderRequest(provider=provider))


def test_check_provider_tells_whether_a_key_works(service: Service) -> None:
    admin = service.platform.admin
    with FakeProvider() as upstream:
        dialects.ANTHROPIC.play(upstream)
        provider = Provider(
            provider_id="anthropic",
            provider_type=Provider.Type.ANTHROPIC,
            api_base=f"{upstream.url}/v1",
            api_key=dialects.KEY,
        )
        admin.CreateProvider(CreateProviderRequest(provider=provider))

        good = admin.CheckProvider(CheckProviderRequest(provider_id="anthropic"))
        upstream.script(act.fail(401))
        bad = admin.CheckProvider(CheckProviderRequest(provider_id="anthropic"))

    assert (good.reachable, good.authorized, good.model_count) == (True, True, 2)
    assert upstream.requests[0].headers["x-api-key"] == dialects.KEY
    assert (bad.reachable, bad.authorized, bad.detail) == (True, False, "it refuses the key (HTTP 401)")
    with nobody() as closed:
        moved = Provider(provider_id="anthropic", api_base=f"http://{closed}/v1")
        admin.UpdateProvider(UpdateProviderRequest(provider=moved))
        gone = admin.CheckProvider(CheckProviderRequest(provider_id="anthropic"))
    assert (gone.reachable, gone.authorized, gone.detail) == (False, False, "no connection")
