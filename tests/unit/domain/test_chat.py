"""Answers in pieces and in one, failures before and after the first piece, and what is never shown."""

from __future__ import annotations

import time
import tracemalloc

from imrs_server.domain.chat import (
    ChatFailure,
    ChatMessage,
    ChatRequest,
    DataPart,
    Delta,
    FailureKind,
    Joining,
    TextPart,
    TokenUsage,
    ToolCall,
)


def test_pieces_are_joined() -> None:
    joining = Joining()
    assert joining.whole() == Delta()
    for piece in (
        Delta(content="I "),
        Delta(content="look", tool_calls=(ToolCall(id="a", name="weather", arguments='{"ci'),)),
        Delta(tool_calls=(ToolCall(id="b", name="time", index=1), ToolCall(arguments='ty": 1}'))),
        Delta(tool_calls=(ToolCall(arguments="{}", index=1),)),
    ):
        joining.add(piece)

    assert joining.whole() == Delta(
        content="I look",
        tool_calls=(
            ToolCall(id="a", name="weather", arguments='{"city": 1}'),
            ToolCall(id="b", name="time", arguments="{}", index=1),
        ),
    )


def test_a_great_many_pieces_are_joined_soon() -> None:
    joining, piece = Joining(), Delta(tool_calls=(ToolCall(arguments="x" * 60),))
    started = time.process_time()
    for _ in range(300_000):
        joining.add(piece)

    assert len(joining.whole().tool_calls[0].arguments) == 18_000_000
    assert time.process_time() - started < 20  # by copying what there was, it would take minutes


def test_pieces_take_no_more_room_than_their_text() -> None:
    """Kept as they came, 200,000 of them take some 60 MB."""
    joining = Joining()
    tracemalloc.start()
    for number in range(100_000):
        joining.add(Delta(content=f"{number % 10}\u00e9"))
        joining.add(Delta(tool_calls=(ToolCall(arguments=f"{number % 10}x"),)))
    held, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    whole = joining.whole()
    assert (len(whole.content), len(whole.tool_calls[0].arguments)) == (200_000, 200_000)
    assert held < 4_000_000


def test_a_failure_after_the_first_piece_keeps_what_broke_the_answer() -> None:
    failure = ChatFailure(
        FailureKind.RATE_LIMITED, "too many calls", said="slow down", status=429, retry_after_seconds=7
    )
    failure.usage = TokenUsage(prompt_tokens=3)

    later = failure.mid_stream()

    assert (later.kind, later.cause) == (FailureKind.MID_STREAM, FailureKind.RATE_LIMITED)
    assert (later.detail, later.said, later.status) == ("too many calls", "slow down", 429)
    assert (later.again, later.retry_after_seconds, later.usage) == (True, 7, failure.usage)


def test_some_kinds_pass_and_others_do_not() -> None:
    passing = {kind for kind in FailureKind if ChatFailure(kind, "x").again}

    assert passing == {
        FailureKind.TIMEOUT,
        FailureKind.RATE_LIMITED,
        FailureKind.OVERLOADED,
        FailureKind.NETWORK,
    }


def test_a_prompt_is_not_shown() -> None:
    message = ChatMessage(
        role="user",
        content="SENTINEL",
        parts=(TextPart("SENTINEL"), DataPart(b"SENTINEL", "image/png")),
        tool_calls=(ToolCall(arguments="SENTINEL"),),
    )
    asked = ChatRequest(external_id="m", messages=(message,), tools=({"name": "SENTINEL"},))

    assert "SENTINEL" not in f"{message!r} {asked!r} {asked}"
