"""Each dialect against a provider on loopback that answers in the documented shape."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from ipaddress import ip_network
from typing import TYPE_CHECKING, Any

import pytest

from imrs_server.adapters.addresses import AddressRules
from imrs_server.adapters.failures import Unusable
from imrs_server.adapters.http import GuardedClient
from imrs_server.adapters.providers import DIALECTS, speaking
from imrs_server.adapters.providers.dialect import Access
from imrs_server.adapters.providers.listing import Listing
from imrs_server.domain.errors import ProviderInvalidResponse
from imrs_server.domain.model import CostTier, ModelType, PriceState
from imrs_server.domain.provider import Provider, ProviderType, dialect_of, models_endpoint_of
from imrs_server.domain.secret import Secret
from tests.support import dialects, patience
from tests.support import provider as act
from tests.support.dialects import KEY, SHAPES, Shape
from tests.support.provider import FakeProvider

if TYPE_CHECKING:
    from collections.abc import Iterator

    from imrs_server.domain.discovery import DiscoveredModel

CLIENT = GuardedClient(AddressRules(allowed=(ip_network("127.0.0.0/8"),)), timing=patience.TIMING)


@pytest.fixture
def upstream() -> Iterator[FakeProvider]:
    with FakeProvider(b"{}") as provider:
        yield provider


def listing(upstream: FakeProvider, shape: Shape, **changes: Any) -> Listing:
    """Play the shape, and get ready to read it."""
    shape.play(upstream)
    provider = Provider(
        provider_id="mine",
        display_name="Mine",
        provider_type=ProviderType.CUSTOM,
        dialect=shape.dialect,
        api_base=upstream.url + shape.base,
        models_endpoint=shape.endpoint,
        options=shape.options,
    )
    key = None if shape.dialect == "ollama" else Secret(KEY)
    return Listing(CLIENT, speaking(shape.dialect), Access(provider=replace(provider, **changes), key=key))


def read(upstream: FakeProvider, shape: Shape, **changes: Any) -> dict[str, DiscoveredModel]:
    return {model.external_id: model for model in listing(upstream, shape, **changes)}


def test_every_dialect_has_a_shape_here() -> None:
    assert SHAPES.keys() == DIALECTS.keys()


@pytest.mark.parametrize("dialect", SHAPES)
def test_all_pages_are_read_with_the_key_in_its_header_only(upstream: FakeProvider, dialect: str) -> None:
    shape = SHAPES[dialect]
    found = listing(upstream, shape)

    assert tuple(model.external_id for model in found) == shape.models
    assert found.invalid == shape.invalid
    assert found.discovered == len(shape.models) + shape.invalid
    assert [each.path for each in upstream.requests if each.method == "GET"] == list(shape.pages)
    header, value = shape.key_header
    for request in upstream.requests:
        assert request.headers.get(header, "") == value
        assert KEY not in request.path
        assert [name for name, text in request.headers.items() if KEY in text] == ([header] if value else [])


@pytest.mark.parametrize("dialect", sorted(SHAPES.keys() - {"openrouter", "together"}))
def test_a_list_without_prices_leaves_them_unknown(upstream: FakeProvider, dialect: str) -> None:
    for model in read(upstream, SHAPES[dialect]).values():
        assert model.price_state is PriceState.PRICE_UNKNOWN
        assert (model.input_price_usd, model.cost_tier) == (None, CostTier.STANDARD)
        assert "price_state" not in model.provenance


@pytest.mark.parametrize("dialect", SHAPES)
def test_the_metadata_is_the_item_as_it_came(upstream: FakeProvider, dialect: str) -> None:
    shape = SHAPES[dialect]
    sent = []
    for answer in shape.pages.values():
        sent += answer[shape.member] if shape.member else answer
    for model in read(upstream, shape).values():
        kept = {name: value for name, value in model.metadata.items() if name != "details"}
        assert any(kept.items() <= item.items() for item in sent) or dialect == "vllm"


def test_anthropic_tells_limits_and_capabilities(upstream: FakeProvider) -> None:
    models = read(upstream, dialects.ANTHROPIC)

    opus = models["claude-opus-4-6"]
    assert (opus.display_name, opus.context_length, opus.max_output_tokens) == (
        "Claude Opus 4.6",
        1_000_000,
        128_000,
    )
    assert opus.capabilities == (
        "document",
        "function_calling",
        "long_context",
        "reasoning",
        "structured_output",
        "text",
        "vision",
    )
    assert opus.provenance["capabilities"] == "PROVIDER"
    assert "reasoning" not in models["claude-haiku-4-5"].capabilities
    assert "capabilities" not in models["claude-3-old"].provenance
    assert upstream.requests[0].headers["anthropic-version"] == "2023-06-01"


def test_anthropic_pages_that_lead_nowhere_are_half_a_list(upstream: FakeProvider) -> None:
    page = {"data": [], "has_more": True, "last_id": None}
    shape = replace(dialects.ANTHROPIC, pages={"/v1/models?limit=1000": page})

    with pytest.raises(ProviderInvalidResponse, match="more pages"):
        read(upstream, shape)


def test_azure_lists_base_models_with_their_ends(upstream: FakeProvider) -> None:
    models = read(upstream, dialects.AZURE)

    assert models["gpt-4o-2024-08-06"].retire_time == datetime.fromtimestamp(1_900_000_000, UTC)
    assert models["text-embedding-3-large"].model_type is ModelType.EMBEDDING


def test_azure_deployments_stand_for_their_base_models(upstream: FakeProvider) -> None:
    deployments = {"our-chat": "gpt-4o-2024-08-06", "our-search": "text-embedding-3-large", "new": "gpt-9"}
    found = listing(upstream, dialects.AZURE, options={"deployments": deployments})
    models = {model.external_id: model for model in found}

    assert list(models) == ["our-chat", "our-search", "new"]
    assert (found.discovered, found.invalid) == (3, 0)
    assert models["our-chat"].retire_time is not None
    assert models["our-search"].model_type is ModelType.EMBEDDING
    assert models["new"].metadata == {"id": "new", "base_model": "gpt-9"}


@pytest.mark.parametrize(
    ("base", "endpoint", "options", "path"),
    [
        ("", "/openai/models", {"api_version": "2025-01-01"}, "/openai/models?api-version=2025-01-01"),
        ("", "/openai/models?api-version=x", {}, "/openai/models?api-version=x"),
        ("/openai/v1", "/models", {}, "/openai/v1/models"),
        ("/openai", "/models", {}, "/openai/models?api-version=2024-10-21"),
    ],
)
def test_azure_is_told_the_version(
    upstream: FakeProvider, base: str, endpoint: str, options: dict[str, Any], path: str
) -> None:
    shape = replace(dialects.AZURE, base=base, endpoint=endpoint, pages={path: {"data": []}})

    assert read(upstream, shape, options=options) == {}
    assert upstream.requests[0].path == path


def test_gemini_tells_kinds_by_methods_and_no_capabilities(upstream: FakeProvider) -> None:
    models = read(upstream, dialects.GEMINI)

    pro = models["gemini-2.5-pro"]
    assert (pro.model_type, pro.context_length, pro.max_output_tokens) == (ModelType.CHAT, 1_048_576, 65_536)
    assert "reasoning" in pro.capabilities
    # Whether it sees and takes tools is for a better source to say.
    assert "capabilities" not in pro.provenance
    assert models["imagen-4.0-generate-001"].model_type is ModelType.IMAGE
    assert models["gemini-embedding-001"].model_type is ModelType.EMBEDDING


def test_ollama_is_asked_about_each_model(upstream: FakeProvider) -> None:
    models = read(upstream, dialects.OLLAMA)

    seeing = models["llama3.2-vision:11b"]
    assert seeing.capabilities == ("function_calling", "reasoning", "text", "vision")
    assert (seeing.model_type, seeing.context_length) == (ModelType.CHAT, 131_072)
    assert models["nomic-embed-text:latest"].model_type is ModelType.EMBEDDING
    assert seeing.metadata["details"]["capabilities"] == ["completion", "vision", "tools", "thinking"]


@pytest.mark.parametrize("base", ["", "/", "/v1", "/v1/", "/api"])
@pytest.mark.parametrize("endpoint", ["/api/tags", "/models"])
def test_ollama_is_found_at_the_root_however_it_is_written(
    upstream: FakeProvider, base: str, endpoint: str
) -> None:
    models = read(upstream, dialects.OLLAMA, api_base=upstream.url + base, models_endpoint=endpoint)

    assert tuple(models) == dialects.OLLAMA.models


def test_an_ollama_model_that_goes_while_it_is_asked_about_is_skipped(upstream: FakeProvider) -> None:
    found = listing(upstream, dialects.OLLAMA)
    tags = dialects.OLLAMA.list(dialects.OLLAMA.pages["/api/tags"]["models"])
    upstream.script(act.answer(tags), act.fail(404))

    assert [model.external_id for model in found] == ["nomic-embed-text:latest"]
    assert found.invalid == 1


def test_ollamas_error_about_a_model_ends_the_reading(upstream: FakeProvider) -> None:
    found = listing(upstream, dialects.OLLAMA)
    tags = dialects.OLLAMA.list(dialects.OLLAMA.pages["/api/tags"]["models"])
    upstream.script(act.answer(tags), act.answer(b'{"error": "out of memory"}'))

    with pytest.raises(ProviderInvalidResponse, match="error in place"):
        list(found)


def test_vllm_adapters_have_the_length_of_what_they_adapt(upstream: FakeProvider) -> None:
    models = read(upstream, dialects.VLLM)

    assert {model.context_length for model in models.values()} == {262_144}
    assert "code" in models["Qwen/Qwen3-Coder"].capabilities


def test_groq_tells_limits_and_hides_what_is_switched_off(upstream: FakeProvider) -> None:
    models = read(upstream, dialects.GROQ)

    llama = models["llama-3.3-70b-versatile"]
    assert (llama.context_length, llama.max_output_tokens) == (131_072, 32_768)
    assert models["whisper-large-v3"].model_type is ModelType.AUDIO


def test_together_tells_prices_and_a_zero_is_not_always_one(upstream: FakeProvider) -> None:
    models = read(upstream, dialects.TOGETHER)

    paid = models["meta-llama/Llama-3.3-70B"]
    assert (paid.price_state, paid.input_price_usd) == (PriceState.PRICE_KNOWN, Decimal("0.88"))
    free = models["meta-llama/Llama-3.3-70B-Free"]
    assert (free.price_state, free.cost_tier) == (PriceState.PRICE_FREE, CostTier.FREE)
    for name in ("black-forest-labs/FLUX.1", "rented"):
        assert models[name].price_state is PriceState.PRICE_UNKNOWN
    assert models["black-forest-labs/FLUX.1"].model_type is ModelType.IMAGE


def test_mistral_aliases_are_no_models(upstream: FakeProvider) -> None:
    models = read(upstream, dialects.MISTRAL)

    large = models["mistral-large-2411"]
    assert large.capabilities == ("function_calling", "text", "vision")
    assert large.retire_time == datetime(2027, 3, 31, 12, tzinfo=UTC)
    assert models["mistral-embed"].model_type is ModelType.EMBEDDING
    assert models["codestral-2508"].capabilities == ("code", "text")


def test_cohere_tells_kinds_by_endpoints_and_capabilities_by_features(upstream: FakeProvider) -> None:
    models = read(upstream, dialects.COHERE)

    command = models["command-a-03-2025"]
    assert command.model_type is ModelType.CHAT
    assert command.capabilities == (
        "function_calling",
        "long_context",
        "structured_output",
        "text",
        "vision",
    )
    assert models["embed-v4.0"].model_type is ModelType.EMBEDDING
    assert models["rerank-v3.5"].model_type is ModelType.RERANK


@pytest.mark.parametrize("bad", [7, "x", [], {"a": 1}, True, None, [None, {"x": 1}], 1e308])
@pytest.mark.parametrize("dialect", SHAPES)
def test_a_member_of_the_wrong_type_is_as_good_as_none(dialect: str, bad: Any) -> None:
    shape = SHAPES[dialect]
    provider = Provider(
        provider_id="mine",
        display_name="Mine",
        provider_type=ProviderType.CUSTOM,
        dialect=dialect,
        api_base="https://api.example",
        models_endpoint="/models",
        options={"deployments": {"a": "b"}, "api_version": bad, "headers": bad},
    )
    access, speech = Access(provider=provider, key=Secret(KEY)), speaking(dialect)
    speech.first(access)
    for answer in shape.pages.values():
        for item in answer[shape.member] if shape.member else answer:
            details = shape.shown.get(item.get("name"), {})
            for member in item:
                wrong = {**item, member: bad}
                list(speech.entries(access, [wrong, bad]))
                speech.parse(access, wrong, dict.fromkeys(details, bad))
                speech.details(access, wrong)
        if isinstance(answer, dict):
            for member in answer:
                envelope = {**answer, member: bad}
                with suppress(Unusable):
                    speech.following(access, envelope, bad)


@pytest.mark.parametrize(
    ("kind", "api_base", "dialect", "endpoint"),
    [
        (ProviderType.OPENROUTER, "https://openrouter.ai/api/v1", "openrouter", "/models"),
        (ProviderType.OPENAI, "https://api.openai.com/v1", "openai", "/models"),
        (ProviderType.OPENAI, "https://api.groq.com/openai/v1", "groq", "/models"),
        (ProviderType.CUSTOM, "https://api.mistral.ai/v1", "mistral", "/models"),
        (ProviderType.CUSTOM, "https://models.corp.example/v1", "openai", "/models"),
        (ProviderType.CUSTOM, "https://generativelanguage.googleapis.com/v1beta", "gemini", "/models"),
        (ProviderType.CUSTOM, "https://generativelanguage.googleapis.com/v1beta/openai", "openai", "/models"),
        (ProviderType.CUSTOM, "https://ours.openai.azure.com", "azure", "/openai/models"),
        (ProviderType.AZURE, "https://ours.openai.azure.com/openai/v1/", "azure", "/models"),
        (ProviderType.OLLAMA, "http://127.0.0.1:11434/v1", "ollama", "/api/tags"),
        (ProviderType.ANTHROPIC, "https://api.anthropic.com/v1", "anthropic", "/models"),
    ],
)
def test_dialect_and_endpoint_follow_from_type_and_address(
    kind: ProviderType, api_base: str, dialect: str, endpoint: str
) -> None:
    assert dialect_of(kind, api_base) == dialect
    assert models_endpoint_of(dialect, api_base) == endpoint
