"""The rules that turn a list's words into catalogue fields."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imrs_server.domain import catalogue_rules as rules
from imrs_server.domain.catalogue_rules import PER_MILLION_TOKENS, Prices
from imrs_server.domain.model import CostTier, ModelType, PriceState


def test_prices_per_token_become_exact_prices_per_million() -> None:
    price = rules.prices("0.00000015", "0.0000006", cached="0.000000075")

    assert price.state is PriceState.PRICE_KNOWN
    assert (price.input, price.output) == (Decimal("0.15"), Decimal("0.6"))
    assert price.cached_input == Decimal("0.075")


def test_a_price_given_as_a_float_is_the_decimal_that_was_written() -> None:
    price = rules.prices(0.1, 0.3, unit=PER_MILLION_TOKENS)

    assert (price.input, price.output) == (Decimal("0.1"), Decimal("0.3"))


@pytest.mark.parametrize(
    ("prompt", "completion", "state"),
    [
        ("-1", "-1", PriceState.PRICE_VARIABLE),
        ("0.1", "-1", PriceState.PRICE_VARIABLE),
        ("0", "0", PriceState.PRICE_FREE),
        (0, 0.0, PriceState.PRICE_FREE),
        ("0", None, PriceState.PRICE_UNKNOWN),
        (None, "0", PriceState.PRICE_UNKNOWN),
        (None, None, PriceState.PRICE_UNKNOWN),
        ("0.000001", None, PriceState.PRICE_UNKNOWN),
        ("-0.5", "1", PriceState.PRICE_UNKNOWN),
        ("NaN", "1", PriceState.PRICE_UNKNOWN),
        ("Infinity", "1", PriceState.PRICE_UNKNOWN),
        ("1e999999", "1", PriceState.PRICE_UNKNOWN),
        ("1e-999999", "0", PriceState.PRICE_UNKNOWN),
        ("9" * 5000, "1", PriceState.PRICE_UNKNOWN),
        ("1000", "1", PriceState.PRICE_UNKNOWN),
        ("cheap", "1", PriceState.PRICE_UNKNOWN),
        (True, False, PriceState.PRICE_UNKNOWN),
        ([], {}, PriceState.PRICE_UNKNOWN),
        ("0", "0.00001", PriceState.PRICE_KNOWN),
    ],
)
def test_the_price_state_tells_how_far_a_price_can_be_trusted(
    prompt: object, completion: object, state: PriceState
) -> None:
    price = rules.prices(prompt, completion)

    assert price.state is state
    counted = state in (PriceState.PRICE_KNOWN, PriceState.PRICE_FREE)
    assert (price.input is not None) == (price.output is not None) == counted


def test_free_tokens_with_a_charge_on_something_else_are_not_free() -> None:
    assert rules.prices("0", "0", other_charges=["0", None]).state is PriceState.PRICE_FREE
    assert rules.prices("0", "0", other_charges=[None, "0.04"]).state is PriceState.PRICE_UNKNOWN


@given(prompt=st.text() | st.floats() | st.integers(), completion=st.text() | st.floats() | st.integers())
def test_whatever_is_written_a_price_fits_its_column(prompt: object, completion: object) -> None:
    price = rules.prices(prompt, completion, cached=prompt)

    for usd in (price.input, price.output, price.cached_input):
        assert usd is None or (0 <= usd <= 999_999_999 and usd == usd.quantize(Decimal("1e-9")))


@pytest.mark.parametrize(
    ("price", "tier"),
    [
        (Prices(state=PriceState.PRICE_FREE, input=Decimal(0), output=Decimal(0)), CostTier.FREE),
        (Prices(state=PriceState.PRICE_KNOWN, input=Decimal("0.5"), output=Decimal("0.5")), CostTier.LOW),
        (
            Prices(state=PriceState.PRICE_KNOWN, input=Decimal("0.5"), output=Decimal("0.51")),
            CostTier.STANDARD,
        ),
        (Prices(state=PriceState.PRICE_KNOWN, input=Decimal("2.5"), output=Decimal(10)), CostTier.STANDARD),
        (Prices(state=PriceState.PRICE_KNOWN, input=Decimal(3), output=Decimal(15)), CostTier.PREMIUM),
        (Prices(state=PriceState.PRICE_VARIABLE), CostTier.STANDARD),
        (Prices(state=PriceState.PRICE_UNKNOWN), CostTier.STANDARD),
    ],
)
def test_the_cost_tier_follows_the_blended_price(price: Prices, tier: CostTier) -> None:
    assert rules.cost_tier(price) is tier


@pytest.mark.parametrize(
    ("external_id", "outputs", "kind"),
    [
        ("openai/gpt-5", ["text"], ModelType.CHAT),
        ("openai/gpt-5.1", ["text", "image", "audio"], ModelType.CHAT),
        ("openai/gpt-audio", ["text", "audio"], ModelType.CHAT),
        ("some/model", [], ModelType.CHAT),
        ("google/gemini-2.5-flash-image", ["image", "text"], ModelType.IMAGE),
        ("vendor/painter", ["image"], ModelType.IMAGE),
        ("vendor/filmer", ["video"], ModelType.IMAGE),
        ("dall-e-3", [], ModelType.IMAGE),
        ("gpt-4o-mini-tts", [], ModelType.AUDIO),
        ("whisper-large-v3", ["text"], ModelType.AUDIO),
        ("vendor/voice", ["speech"], ModelType.AUDIO),
        ("vendor/ears", ["transcription"], ModelType.AUDIO),
        ("text-embedding-3-small", ["text"], ModelType.EMBEDDING),
        ("vendor/vectors", ["embeddings"], ModelType.EMBEDDING),
        ("baai/bge-m3", [], ModelType.EMBEDDING),
        ("bge-reranker-v2-m3", ["text"], ModelType.RERANK),
        ("vendor/sorter", ["rerank"], ModelType.RERANK),
    ],
)
def test_the_model_type_says_what_a_model_is_for(
    external_id: str, outputs: list[str], kind: ModelType
) -> None:
    assert rules.model_type(external_id, outputs) is kind


def test_capabilities_follow_what_the_model_takes_and_declares() -> None:
    found = rules.capabilities(
        "vendor/omni-coder",
        ModelType.CHAT,
        inputs=["text", "image", "audio", "video", "file"],
        tools=True,
        structured_output=True,
        reasoning=True,
        context_length=rules.LONG_CONTEXT_TOKENS,
    )

    assert found == (
        "audio",
        "code",
        "document",
        "function_calling",
        "long_context",
        "reasoning",
        "structured_output",
        "text",
        "video",
        "vision",
    )


@pytest.mark.parametrize(
    "name", ["qwen3-coder:480b", "openai/gpt-5-codex", "codestral-2508", "grok-code-fast-1"]
)
def test_code_is_a_word_of_the_id(name: str) -> None:
    assert "code" in rules.capabilities(name, ModelType.CHAT)


@pytest.mark.parametrize("name", ["vendor/decoder-7b", "vendor/encoder", "openai/gpt-5"])
def test_code_is_not_found_inside_other_words(name: str) -> None:
    assert rules.capabilities(name, ModelType.CHAT) == ("text",)


def test_a_context_just_below_the_constant_is_not_long() -> None:
    assert "long_context" not in rules.capabilities("m", ModelType.CHAT, context_length=199_999)


@pytest.mark.parametrize(
    "bad", [None, 7, "", "  ", "a\x00b", "a\nb", "a\u2028b", "a\ud800", "x" * 250, ["x"]]
)
def test_an_id_that_cannot_be_one_is_refused(bad: object) -> None:
    assert rules.external_id(bad, "provider") is None


@pytest.mark.parametrize("good", ["gpt-5", "NousResearch 2/Hermes-4-70B:thinking", "模型", "x" * 246])
def test_real_ids_are_kept_as_they_are(good: str) -> None:
    assert rules.external_id(good, "provider") == good


@pytest.mark.parametrize(("value", "count"), [(128_000, 128_000), (0, None), (-1, None), (2**31, None)])
def test_token_counts_are_positive_and_32_bit(value: int, count: int | None) -> None:
    assert rules.token_count(value) == count


@pytest.mark.parametrize("value", [True, "8192", 8192.0, None])
def test_token_counts_are_whole_numbers(value: object) -> None:
    assert rules.token_count(value) is None


def test_days_and_times_are_read_in_utc() -> None:
    assert rules.day("2027-01-31") == datetime(2027, 1, 31, tzinfo=UTC)
    assert rules.day("2027-01-31T02:00:00+02:00") == datetime(2027, 1, 31, tzinfo=UTC)
    assert [rules.day(bad) for bad in ("soon", "", None, 1, "0001-01-01T00:00:00+14:00")] == [None] * 5


def test_a_display_name_is_printable_and_falls_back_to_the_id() -> None:
    assert rules.display_name("GPT\x00-5\n", "gpt-5") == "GPT-5"
    assert rules.display_name("\n", "gpt-5") == rules.display_name(None, "gpt-5") == "gpt-5"
