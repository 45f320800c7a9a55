"""Tokens guessed from text."""

from __future__ import annotations

from imrs_server.domain import token_estimate
from imrs_server.domain.chat import ChatMessage, DataPart, Delta, ImagePart, TextPart, ToolCall


def test_a_quarter_of_the_characters_and_something_for_each_turn() -> None:
    turns = [ChatMessage(role="system", content="x" * 40), ChatMessage(role="user", content="x" * 40)]
    assert token_estimate.of_prompt(turns) == 2 * 4 + 20
    assert token_estimate.of_prompt([]) == 0


def test_parts_calls_and_tools_count() -> None:
    turn = ChatMessage(
        role="assistant",
        parts=(
            TextPart("x" * 8),
            ImagePart("https://a"),
            DataPart(b"", "image/png"),
            DataPart(b"", "audio/wav"),
        ),
        tool_calls=(ToolCall(name="n" * 4, arguments="a" * 4),),
    )
    bare = token_estimate.of_prompt([turn])
    assert bare == 4 + 2 * 765 + 4
    assert token_estimate.of_prompt([turn], [{"name": "weather"}]) > bare


def test_an_answer_is_counted_by_what_was_heard() -> None:
    piece = Delta(content="x" * 6, tool_calls=(ToolCall(name="n", arguments="a"),))
    usage = token_estimate.usage(7, token_estimate.characters(piece))
    assert (usage.prompt_tokens, usage.completion_tokens, usage.cached_tokens) == (7, 2, 0)
    assert usage.estimated
