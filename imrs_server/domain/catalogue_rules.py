"""How a list's raw words become catalogue fields: pure, and the same for every provider.

Prices
    "-1" is VARIABLE (the price depends on what the provider picks). FREE needs both token prices given and
    zero, and no other charge (per request, image or second of audio). Anything missing, negative, not finite
    or outside numeric(18,9) is UNKNOWN, never 0. Arithmetic is decimal, never binary.
Cost tier
    FREE where the price is FREE; else by the blended price of three input tokens to one output token:
    at most 0.50 USD per 1M is LOW, at most 5 STANDARD, above PREMIUM. VARIABLE and UNKNOWN are STANDARD.
Model type
    What the output says: embeddings, rerank; a model that writes text is CHAT; image or video alone is
    IMAGE; audio, speech or transcription alone is AUDIO. Names decide where the output says "text" or
    nothing although the model is made for something else: see the word lists below.
Capabilities
    text: every CHAT model. vision, audio, video, document: the input takes images, sound, video, files
    (audio: and every AUDIO model). function_calling, reasoning, structured_output: as declared.
    long_context: a context of at least LONG_CONTEXT_TOKENS. code: a word of CODE_WORDS in the id.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING

from imrs_server.domain.model import CostTier, ModelType, PriceState

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

LONG_CONTEXT_TOKENS = 200_000
LOW_PRICE_USD = Decimal("0.5")
STANDARD_PRICE_USD = Decimal(5)
PER_TOKEN = Decimal(1_000_000)
PER_MILLION_TOKENS = Decimal(1)

CODE_WORDS = frozenset(
    {"code", "codegemma", "codellama", "coder", "codestral", "codex", "coding", "devstral"}
)
EMBEDDING_WORDS = frozenset({"bge", "e5", "gte", "voyage"})
IMAGE_WORDS = frozenset({"banana", "dall", "diffusion", "flux", "image", "imagen", "imagine", "sdxl"})
AUDIO_WORDS = frozenset({"melotts", "speech", "transcribe", "transcription", "tts", "whisper"})

_MODEL_ID_LENGTH = 255
_SMALLEST_PRICE_USD = Decimal("1e-9")
_HIGHEST_PRICE_USD = Decimal(999_999_999)
_LARGEST_COUNT = 2**31 - 1
_WORD = re.compile(r"[a-z0-9]+")


@dataclass(frozen=True, slots=True, kw_only=True)
class Prices:
    """USD per 1M tokens; ``input`` and ``output`` are present exactly when the state is KNOWN or FREE."""

    state: PriceState
    input: Decimal | None = None
    output: Decimal | None = None
    cached_input: Decimal | None = None


def prices(
    prompt: object,
    completion: object,
    *,
    cached: object = None,
    other_charges: Iterable[object] = (),
    unit: Decimal = PER_TOKEN,
) -> Prices:
    """Judge token prices, decimal strings or numbers in ``unit``: PER_TOKEN or PER_MILLION_TOKENS."""
    amounts = [_amount(each) for each in (prompt, completion)]
    if -1 in amounts:
        return Prices(state=PriceState.PRICE_VARIABLE)
    usd = [_usd_per_million(amount, unit) for amount in amounts]
    if usd[0] is None or usd[1] is None:
        return Prices(state=PriceState.PRICE_UNKNOWN)
    if usd[0] == usd[1] == 0:
        # Tokens for nothing and a charge on something else would be booked as free of cost.
        if any(_amount(charge) not in (None, 0) for charge in other_charges):
            return Prices(state=PriceState.PRICE_UNKNOWN)
        return Prices(state=PriceState.PRICE_FREE, input=usd[0], output=usd[1])
    cached_usd = _usd_per_million(_amount(cached), unit)
    return Prices(state=PriceState.PRICE_KNOWN, input=usd[0], output=usd[1], cached_input=cached_usd)


def cost_tier(price: Prices) -> CostTier:
    """The price class; the blend of 3 to 1 is what chat traffic looks like."""
    if price.state is PriceState.PRICE_FREE:
        return CostTier.FREE
    if price.input is None or price.output is None:
        return CostTier.STANDARD
    blended = (3 * price.input + price.output) / 4
    if blended <= LOW_PRICE_USD:
        return CostTier.LOW
    return CostTier.STANDARD if blended <= STANDARD_PRICE_USD else CostTier.PREMIUM


def model_type(external_id: str, outputs: Collection[str] = ()) -> ModelType:
    """What the model is for, by its output modalities (empty: not told) and its id."""
    words = _words(external_id)
    if "embeddings" in outputs or not words.isdisjoint(EMBEDDING_WORDS) or _any_starts(words, "embed"):
        # "bge-reranker" is a reranker of an embedding family.
        return ModelType.RERANK if _any_starts(words, "rerank") else ModelType.EMBEDDING
    if "rerank" in outputs or _any_starts(words, "rerank"):
        return ModelType.RERANK
    if not words.isdisjoint(IMAGE_WORDS):
        return ModelType.IMAGE
    if not words.isdisjoint(AUDIO_WORDS):
        return ModelType.AUDIO
    if not outputs or "text" in outputs:
        return ModelType.CHAT
    if "image" in outputs or "video" in outputs:
        return ModelType.IMAGE
    if not {"audio", "speech", "transcription"}.isdisjoint(outputs):
        return ModelType.AUDIO
    return ModelType.CHAT


def capabilities(
    external_id: str,
    kind: ModelType,
    *,
    inputs: Collection[str] = (),
    tools: bool = False,
    structured_output: bool = False,
    reasoning: bool = False,
    context_length: int | None = None,
) -> tuple[str, ...]:
    """Sorted capability names; ``inputs`` are modalities: text, image, audio, video, file."""
    held = {
        "text": kind is ModelType.CHAT,
        "vision": "image" in inputs,
        "audio": "audio" in inputs or kind is ModelType.AUDIO,
        "video": "video" in inputs,
        "document": not {"file", "pdf"}.isdisjoint(inputs),
        "function_calling": tools,
        "structured_output": structured_output,
        "reasoning": reasoning,
        "long_context": (context_length or 0) >= LONG_CONTEXT_TOKENS,
        "code": not _words(external_id).isdisjoint(CODE_WORDS),
    }
    return tuple(sorted(name for name, holds in held.items() if holds))


def external_id(value: object, provider_id: str) -> str | None:
    """The id when it can be one: text, printable, and at most 255 characters with the provider before it."""
    if not isinstance(value, str) or not value.strip() or not value.isprintable():
        return None
    return value if len(provider_id) + 1 + len(value) <= _MODEL_ID_LENGTH else None


def display_name(value: object, otherwise: str) -> str:
    """A name for people: printable, at most 255 characters."""
    name = "".join(c for c in value if c.isprintable()).strip() if isinstance(value, str) else ""
    return name[:_MODEL_ID_LENGTH] or otherwise


def token_count(value: object) -> int | None:
    """A positive 32-bit count; lists also say null, 0 and worse."""
    if isinstance(value, int) and not isinstance(value, bool) and 0 < value <= _LARGEST_COUNT:
        return value
    return None


def day(value: object) -> datetime | None:
    """The start of an ISO date, or an ISO time, in UTC."""
    if not isinstance(value, str):
        return None
    try:
        time = datetime.fromisoformat(value)
        return time.replace(tzinfo=UTC) if time.tzinfo is None else time.astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def _amount(value: object) -> Decimal | None:
    """The decimal that was written: of a float its shortest text, so that 0.1 is a tenth."""
    if isinstance(value, bool) or not isinstance(value, str | int | float | Decimal):
        return None
    text = str(value)
    if len(text) > 40:
        return None
    try:
        amount = Decimal(text)
    except InvalidOperation:
        return None
    return amount if amount.is_finite() and amount.adjusted() < 12 else None


def _usd_per_million(amount: Decimal | None, unit: Decimal) -> Decimal | None:
    if amount is None or amount < 0:
        return None
    usd = amount * unit
    if usd > _HIGHEST_PRICE_USD:
        return None
    rounded = usd.quantize(_SMALLEST_PRICE_USD)
    return None if rounded == 0 and amount != 0 else rounded


def _words(external_id: str) -> set[str]:
    return set(_WORD.findall(external_id.lower()))


def _any_starts(words: Iterable[str], prefix: str) -> bool:
    return any(word.startswith(prefix) for word in words)
