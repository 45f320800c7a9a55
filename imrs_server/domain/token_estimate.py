"""Tokens of a call whose provider does not count them: a guess, and always said to be one."""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING

from imrs_server.domain.chat import ImagePart, TextPart, TokenUsage

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from typing import Any

    from imrs_server.domain.chat import ChatMessage, Delta

# English text in the tokenizers of today; other scripts have fewer characters a token, never much more.
_CHARACTERS_PER_TOKEN = 4
# What marks the beginning and the speaker of a turn.
_TOKENS_PER_MESSAGE = 4
# A picture of middling size in OpenAI's high detail.
_TOKENS_PER_IMAGE = 765


def of_prompt(messages: Iterable[ChatMessage], tools: Iterable[Mapping[str, Any]] = ()) -> int:
    """Tokens of a conversation and of the tools that are offered with it."""
    characters, others = 0, 0
    for each in messages:
        others += _TOKENS_PER_MESSAGE
        characters += len(each.content)
        characters += sum(len(call.name) + len(call.arguments) for call in each.tool_calls)
        characters += sum(len(part.text) for part in each.parts if isinstance(part, TextPart))
        others += _TOKENS_PER_IMAGE * sum(_is_image(part) for part in each.parts)
    characters += sum(len(json.dumps(tool)) for tool in tools)
    return others + of_characters(characters)


def of_characters(count: int) -> int:
    """Tokens of so much text."""
    return math.ceil(count / _CHARACTERS_PER_TOKEN)


def characters(delta: Delta) -> int:
    """How much text a piece of an answer has."""
    return len(delta.content) + sum(len(call.name) + len(call.arguments) for call in delta.tool_calls)


def usage(prompt_tokens: int, answer_characters: int) -> TokenUsage:
    """What a call came to that gave so much text."""
    return TokenUsage(
        prompt_tokens=prompt_tokens, completion_tokens=of_characters(answer_characters), estimated=True
    )


def _is_image(part: object) -> bool:
    return isinstance(part, ImagePart) or getattr(part, "mime_type", "").startswith("image/")
