"""How items of provider lists are read."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest

from imrs_server.adapters.failures import Unusable
from imrs_server.adapters.providers import DIALECTS, speaking
from imrs_server.adapters.providers.dialect import Access, option_headers
from imrs_server.domain.errors import InvalidRequest
from imrs_server.domain.model import CostTier, ModelType, PriceState, Provenance
from imrs_server.domain.provider import Provider, ProviderType
from imrs_server.domain.secret import Secret

if TYPE_CHECKING:
    from imrs_server.domain.discovery import DiscoveredModel

OPENROUTER_ITEM: dict[str, Any] = {
    "id": "anthropic/claude-sonnet-4.5:beta",
    "name": "Anthropic: Claude Sonnet 4.5",
    "context_length": 1_000_000,
    "architecture": {"input_modalities": ["text", "image", "file"], "output_modalities": ["text"]},
    "pricing": {
        "prompt": "0.000003",
        "completion": "0.000015",
        "image": "0.0048",
        "input_cache_read": "0.0000003",
        "web_search": "0.01",
    },
    "top_provider": {"context_length": 200_000, "max_completion_tokens": 64_000, "is_moderated": True},
    "supported_parameters": ["tools", "structured_outputs", "reasoning", "max_tokens"],
    "expiration_date": "2027-06-30",
}


def access(dialect: str = "openrouter", key: str | None = "sk-key", **options: Any) -> Access:
    provider = Provider(
        provider_id="mine",
        display_name="Mine",
        provider_type=ProviderType.CUSTOM,
        dialect=dialect,
        api_base="https://api.example/v1/",
        models_endpoint="/models",
        options=options,
    )
    return Access(provider=provider, key=Secret(key) if key is not None else None)


def parsed(dialect: str, item: dict[str, Any]) -> DiscoveredModel:
    model = speaking(dialect).parse(access(dialect), item, {})
    assert model is not None
    return model


def test_openrouter_tells_everything() -> None:
    model = parsed("openrouter", OPENROUTER_ITEM)

    assert model.external_id == "anthropic/claude-sonnet-4.5:beta"
    assert model.display_name == "Anthropic: Claude Sonnet 4.5"
    assert model.model_type is ModelType.CHAT
    assert model.capabilities == (
        "document",
        "function_calling",
        "long_context",
        "reasoning",
        "structured_output",
        "text",
        "vision",
    )
    assert (model.context_length, model.max_output_tokens) == (1_000_000, 64_000)
    assert model.price_state is PriceState.PRICE_KNOWN
    assert (model.input_price_usd, model.output_price_usd) == (Decimal(3), Decimal(15))
    assert model.cached_input_price_usd == Decimal("0.3")
    assert model.cost_tier is CostTier.PREMIUM
    assert model.retire_time == datetime(2027, 6, 30, tzinfo=UTC)
    assert set(model.provenance) == {
        "display_name",
        "model_type",
        "capabilities",
        "context_length",
        "max_output_tokens",
        "price_state",
        "input_price_usd",
        "output_price_usd",
        "cached_input_price_usd",
        "retire_time",
    }
    assert set(model.provenance.values()) == {Provenance.PROVIDER}


@pytest.mark.parametrize(
    ("pricing", "state", "tier"),
    [
        ({"prompt": "-1", "completion": "-1"}, PriceState.PRICE_VARIABLE, CostTier.STANDARD),
        ({"prompt": "0", "completion": "0"}, PriceState.PRICE_FREE, CostTier.FREE),
        (
            {"prompt": "0", "completion": "0", "image_output": "0.04"},
            PriceState.PRICE_UNKNOWN,
            CostTier.STANDARD,
        ),
        ({"prompt": "0"}, PriceState.PRICE_UNKNOWN, CostTier.STANDARD),
        (None, PriceState.PRICE_UNKNOWN, CostTier.STANDARD),
        ("free", PriceState.PRICE_UNKNOWN, CostTier.STANDARD),
    ],
)
def test_openrouter_prices_are_never_guessed(pricing: Any, state: PriceState, tier: CostTier) -> None:
    model = parsed("openrouter", {"id": "openrouter/auto", "pricing": pricing})

    assert (model.price_state, model.cost_tier) == (state, tier)
    assert ("input_price_usd" in model.provenance) == (state is PriceState.PRICE_FREE)


def test_openrouter_items_may_lack_everything_but_the_id() -> None:
    model = parsed("openrouter", {"id": "a/b"})

    assert (model.display_name, model.model_type, model.capabilities) == ("a/b", ModelType.CHAT, ("text",))
    assert model.provenance == {}


@pytest.mark.parametrize("bad", [7, "x", [], {"a": 1}, True, None, [None, {"x": 1}]])
@pytest.mark.parametrize("member", [*OPENROUTER_ITEM, "links"])
def test_a_member_of_the_wrong_type_is_as_good_as_none(member: str, bad: Any) -> None:
    for dialect in DIALECTS.values():
        dialect.parse(access(), {**OPENROUTER_ITEM, member: bad}, {})


def test_openrouter_is_asked_for_all_modalities_with_the_key_in_a_header() -> None:
    call = speaking("openrouter").first(access())

    assert call.url == "https://api.example/v1/models?output_modalities=all"
    assert call.headers == {"authorization": "Bearer sk-key"}
    assert "sk-key" not in repr(call)


def test_openrouter_pages_are_followed_on_the_same_host_only() -> None:
    dialect = speaking("openrouter")

    following = dialect.following(access(), {"links": {"next": "/v1/models?offset=1000"}}, None)
    assert following is not None
    assert following.url == "https://api.example/v1/models?offset=1000"
    for end in ({}, {"links": None}, {"links": {"next": None}}, {"links": {"next": 3}}):
        assert dialect.following(access(), end, None) is None
    for elsewhere in ("https://evil.example/v1/models", "//evil.example/", "http://api.example/v1/models"):
        with pytest.raises(Unusable, match="another host"):
            dialect.following(access(), {"links": {"next": elsewhere}}, None)


def test_openai_tells_hardly_more_than_ids_and_no_price_is_invented() -> None:
    model = parsed("openai", {"id": "gpt-5", "object": "model", "created": 1, "owned_by": "openai"})

    assert (model.external_id, model.display_name) == ("gpt-5", "gpt-5")
    assert model.price_state is PriceState.PRICE_UNKNOWN
    assert model.input_price_usd is None
    assert model.provenance == {}


def test_openai_shutdown_dates_become_retire_times() -> None:
    model = parsed("openai", {"id": "gpt-4-0314", "shutdown_date": "2027-01-15"})

    assert model.retire_time == datetime(2027, 1, 15, tzinfo=UTC)
    assert model.provenance == {"retire_time": Provenance.PROVIDER}


@pytest.mark.parametrize(
    ("dialect", "item", "external_id", "context"),
    [
        ("groq", {"id": "llama-3.3-70b", "context_window": 131_072}, "llama-3.3-70b", 131_072),
        ("vllm", {"id": "/models/q", "max_model_len": 32_768, "parent": None}, "/models/q", 32_768),
        ("mistral", {"id": "mistral-large", "max_context_length": 128_000}, "mistral-large", 128_000),
        ("together", {"id": "a/b", "context_length": 8_192, "pricing": {"input": 0.2}}, "a/b", 8_192),
        ("ollama", {"name": "llama3:8b", "model": "llama3:8b", "size": 4_661_224_676}, "llama3:8b", None),
        ("openai", {"model": "only-this"}, "only-this", None),
    ],
)
def test_copies_of_openai_name_ids_and_contexts_in_their_own_ways(
    dialect: str, item: dict[str, Any], external_id: str, context: int | None
) -> None:
    model = parsed(dialect, item)

    assert (model.external_id, model.context_length) == (external_id, context)
    assert model.price_state is PriceState.PRICE_UNKNOWN


def test_openai_headers_carry_organization_and_project() -> None:
    call = speaking("openai").first(access("openai", organization="org-1", project="proj-2"))

    assert call.url == "https://api.example/v1/models"
    assert call.headers == {
        "authorization": "Bearer sk-key",
        "openai-organization": "org-1",
        "openai-project": "proj-2",
    }


def test_a_provider_without_a_key_is_asked_without_one() -> None:
    assert speaking("vllm").first(access("vllm", key=None)).headers == {}


def test_headers_from_options_cannot_touch_what_the_client_sets() -> None:
    headers = {
        "X-Title": "imrs",
        "Authorization": "Bearer other",
        "Host": "evil.example",
        "X-Bad\r\nInjected": "1",
        "X-Line": "a\r\nb: c",
        "X-Number": 7,
    }

    assert option_headers(access(headers=headers)) == {"X-Title": "imrs"}
    assert option_headers(access(headers="text")) == {}


def test_an_unknown_dialect_is_refused_with_those_that_there_are() -> None:
    with pytest.raises(InvalidRequest, match="anthropic, azure, cohere"):
        speaking("klingon")
