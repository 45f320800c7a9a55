"""What Complete counts, whatever providers answer and databases do: every token of every call, once."""

from __future__ import annotations

import json
from contextlib import contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import psycopg
import pytest
from google.protobuf.duration_pb2 import Duration
from google.protobuf.field_mask_pb2 import FieldMask

from imrs_client import ImrsError, Unavailable
from imrs_client import v1 as pb
from tests.support import chat_shapes as shapes
from tests.support.chat_shapes import message_end, message_start, named, text_block
from tests.support.chatting import USAGE, says
from tests.support.provider import answer
from tests.support.three_models import PROMPT, ThreeModels, three_models
from tests.support.waiting import eventually

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.service import Service

TOKENS = 1500


@pytest.fixture
def world(service: Service) -> Iterator[ThreeModels]:
    with three_models(service) as found:
        yield found


def budget(world: ThreeModels) -> pb.Budget:
    (found,) = world.service.tenant.admin.ListBudgets(pb.ListBudgetsRequest()).budgets
    return found


def set_budget(world: ThreeModels) -> None:
    window = Duration()
    window.FromTimedelta(timedelta(hours=1))
    wanted = pb.Budget(window=window, limit_usd="100", limit_tokens=10**10)
    tenant = world.service.tenant
    tenant.admin.SetBudget(pb.SetBudgetRequest(budget=wanted))
    world.service.settled(tenant)


def anthropic(world: ThreeModels) -> None:
    """Have the first provider speak as Anthropic does."""
    platform = world.service.platform
    provider = pb.Provider(provider_id="first", dialect="anthropic")
    mask = FieldMask(paths=["dialect"])
    platform.admin.UpdateProvider(pb.UpdateProviderRequest(provider=provider, update_mask=mask))
    world.service.settled(platform)


def test_a_tool_of_a_name_that_no_database_takes_is_paid_for_like_any(world: ThreeModels) -> None:
    set_budget(world)
    call = {"id": "c", "type": "function", "function": {"name": "wea\0ther", "arguments": "{}"}}
    message = {"role": "assistant", "content": None, "tool_calls": [call]}
    choice = {"index": 0, "message": message, "finish_reason": "tool_calls"}
    world.play(first=answer(json.dumps({"choices": [choice], "usage": USAGE}).encode()))
    done = world.bot.complete(PROMPT)
    assert [each.id for each in done.tool_calls] == ["c"]
    assert (budget(world).spent_tokens, budget(world).reserved_tokens) == (TOKENS, 0)
    assert world.kept == [("first", "OK", "")]


@pytest.mark.parametrize("index", [[0], {"a": 1}], ids=["a list", "an object"])
def test_an_answer_whose_blocks_have_no_number_is_an_answer(world: ThreeModels, index: Any) -> None:
    anthropic(world)
    body = named(message_start(input_tokens=11), *text_block(index, "Hi"), *message_end("end_turn"))
    world.play(first=shapes.stream(body))
    with world.bot.stream(PROMPT) as told:
        assert "".join(each.content for each in told) == "Hi"
    assert world.kept == [("first", "OK", "")]


def test_numbers_that_add_up_to_more_than_a_count_holds_are_cut(world: ThreeModels) -> None:
    anthropic(world)
    most = 10**9
    numbers = {"input_tokens": most, "cache_creation_input_tokens": most, "cache_read_input_tokens": most}
    body = named(message_start(**numbers), *text_block(0, "Hi"), *message_end("end_turn", output_tokens=2))
    world.play(first=shapes.stream(body))
    with world.bot.stream(PROMPT) as told:
        assert "".join(each.content for each in told) == "Hi"
    assert told.completion.usage.prompt_tokens == most
    assert world.messages[0]["prompt_tokens"] == most


def test_what_was_said_before_it_broke_off_is_counted_where_only_the_prompt_was(world: ThreeModels) -> None:
    """Anthropic counts the answer at its end; at its beginning it says 1."""
    anthropic(world)
    body = named(message_start(input_tokens=11, output_tokens=1), *text_block(0, "x" * 400))
    world.play(first=shapes.broken_off(body))
    with pytest.raises(Unavailable):
        list(world.bot.stream(PROMPT))
    (kept,) = world.messages
    assert (kept["prompt_tokens"], kept["completion_tokens"], kept["tokens_estimated"]) == (11, 100, True)


def test_what_was_thought_before_it_broke_off_is_counted_too(world: ThreeModels) -> None:
    thought = {"type": "thinking_delta", "thinking": "x" * 400}
    block = {"type": "thinking", "thinking": "", "signature": ""}
    body = named(
        message_start(input_tokens=11, output_tokens=1),
        {"type": "content_block_start", "index": 0, "content_block": block},
        {"type": "content_block_delta", "index": 0, "delta": thought},
    )
    anthropic(world)
    world.play(first=shapes.broken_off(body))
    with pytest.raises(Unavailable):
        world.bot.complete(PROMPT, max_fallbacks=0, max_attempts=1)
    (kept,) = world.messages
    assert (kept["prompt_tokens"], kept["completion_tokens"], kept["tokens_estimated"]) == (11, 100, True)


@contextmanager
def read_only(world: ThreeModels) -> Iterator[None]:
    """As while another server of the database takes over."""
    dsn = world.service.settings.database_url.get_secret_value()
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute("alter table messages rename to messages_elsewhere")
        yield
        connection.execute("alter table messages_elsewhere rename to messages")


def test_a_call_that_could_not_be_stored_is_stored_and_paid_later(world: ThreeModels) -> None:
    """Whatever was wrong with the database: it is no reason to forget what was spent."""
    set_budget(world)
    world.play(first=says("Hi"))
    with read_only(world), pytest.raises(ImrsError) as caught:
        world.bot.complete(PROMPT)
    assert caught.value.reason == "INTERNAL"
    eventually(lambda: world.kept == [("first", "OK", "")])
    eventually(lambda: (budget(world).spent_tokens, budget(world).reserved_tokens) == (TOKENS, 0))
