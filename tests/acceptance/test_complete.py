"""Complete on a whole server: answers, whole and in pieces, and what is kept of each call."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING

import psycopg
import pytest
from google.protobuf.field_mask_pb2 import FieldMask

from imrs_client import (
    AsyncImrsClient,
    ImrsError,
    InvalidArgument,
)
from imrs_client import v1 as pb
from imrs_server.domain.principal import Role
from tests.support.chatting import goes_on, says, streams
from tests.support.three_models import COST_USD, PROMPT, ThreeModels, three_models
from tests.support.waiting import eventually

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.service import Service


@pytest.fixture
def world(service: Service) -> Iterator[ThreeModels]:
    with three_models(service) as found:
        yield found


def test_an_answer_with_its_usage_its_cost_and_a_message_that_can_be_rated(world: ThreeModels) -> None:
    world.play(first=says("Here it is"))
    done = world.bot.complete(PROMPT, metadata={"ticket": 7}, parameters=pb.Parameters(temperature=0.5))

    assert (done.content, done.model_id, done.finish_reason) == ("Here it is", "first/m", "stop")
    assert done.message_id == done.decision.decision_id
    assert done.decision.task.task_type == "code"
    assert (done.usage.prompt_tokens, done.usage.completion_tokens, done.usage.cached_tokens) == (
        1000,
        500,
        200,
    )
    assert not done.usage.estimated
    assert done.cost_usd == COST_USD

    (asked,) = world.providers["first"].requests
    assert (asked.path, asked.headers["authorization"]) == ("/v1/chat/completions", "Bearer sk-first")
    body = json.loads(asked.body)
    assert (body["model"], body["temperature"]) == ("m", 0.5)
    assert body["messages"] == [{"role": "user", "content": PROMPT}]

    (kept,) = world.messages
    assert (str(kept["message_id"]), str(kept["decision_id"])) == (done.message_id, done.message_id)
    assert (kept["outcome"], kept["task_type"], kept["cost_usd"]) == ("OK", "code", COST_USD)
    assert kept["metadata"] == {"ticket": 7}
    vote = world.bot.rate(done.message_id, 1.0)
    assert (vote.model_id, vote.pending) == ("first/m", False)


def test_pieces_come_as_they_are_made(world: ThreeModels) -> None:
    world.play(first=streams("Here ", "it ", "is"))
    with world.bot.stream(PROMPT) as answer:
        pieces = [each.content for each in answer]
    assert pieces == ["Here ", "it ", "is"]
    assert answer.completion.content == "Here it is"
    assert answer.completion.cost_usd == COST_USD
    assert json.loads(world.providers["first"].requests[0].body)["stream"] is True


def test_pieces_and_whole_answers_come_in_asyncio_too(world: ThreeModels) -> None:
    world.providers["first"].script(says("Whole"), streams("Piece ", "by piece"))
    token = world.service.token(Role.AGENT, agent_id="bot")

    async def ask() -> tuple[str, list[str], str]:
        async with AsyncImrsClient(world.service.app.address, token=token) as bot:
            done = await bot.complete(PROMPT)
            async with bot.stream(PROMPT) as answer:
                pieces = [each.content async for each in answer]
            return done.content, pieces, answer.completion.content

    assert asyncio.run(ask()) == ("Whole", ["Piece ", "by piece"], "Piece by piece")


def test_a_call_that_cannot_be_recorded_does_not_say_that_it_was_completed(world: ThreeModels) -> None:
    """The answer was delivered; its end is the database's."""
    world.play(first=streams("Here ", "it is"))
    dsn = world.service.settings.database_url.get_secret_value()
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute("alter table messages rename to gone")
        try:
            answer = world.bot.stream(PROMPT)
            with pytest.raises(ImrsError):
                list(answer)
        finally:
            connection.execute("alter table gone rename to messages")
    with pytest.raises(ValueError, match="not ended"):
        assert answer.completion


def test_tokens_that_the_provider_does_not_count_are_estimated_and_said_to_be(world: ThreeModels) -> None:
    world.play(first=says("x" * 400, usage=None))
    done = world.bot.complete("y" * 400)
    assert (done.usage.prompt_tokens, done.usage.completion_tokens) == (104, 100)
    assert done.usage.estimated
    (kept,) = world.messages
    assert (kept["prompt_tokens"], kept["completion_tokens"]) == (104, 100)
    assert (kept["tokens_estimated"], kept["metadata"]) == (True, {})


def test_what_has_no_price_costs_nothing_known(world: ThreeModels) -> None:
    platform = world.service.platform
    model = pb.Model(model_id="first/m", price_state=pb.Model.PriceState.PRICE_UNKNOWN)
    platform.catalog.UpdateModel(
        pb.UpdateModelRequest(model=model, update_mask=FieldMask(paths=["price_state"]))
    )
    world.play(first=says("Hi"))
    assert world.bot.complete(PROMPT).cost_usd is None
    (kept,) = world.messages
    assert (kept["cost_usd"], kept["cost_priced"]) == (None, False)


def test_a_caller_who_goes_away_is_kept_as_cancelled_and_the_provider_is_left(world: ThreeModels) -> None:
    world.play(first=goes_on("x" * 40))
    with world.bot.stream("y" * 400) as answer:
        assert next(iter(answer)).content
    eventually(lambda: world.kept == [("first", "CANCELLED", "")])
    (kept,) = world.messages
    assert (kept["prompt_tokens"], kept["completion_tokens"]) == (104, 10)
    assert world.asked == ["first"]


def test_a_conversation_with_tools_and_an_image_says_what_the_model_must_be_able_to(
    world: ThreeModels,
) -> None:
    tool = {"type": "function", "function": {"name": "weather", "parameters": {"type": "object"}}}
    turns = [
        pb.ChatMessage(
            role="user",
            content="What is this?",
            parts=[pb.ChatMessage.Part(image_url="https://example.com/a.png")],
        )
    ]
    with pytest.raises(ImrsError) as caught:
        world.bot.complete(turns, tools=[tool])
    assert caught.value.reason == "NO_ELIGIBLE_MODEL"
    assert caught.value.metadata["CAPABILITY"] == "3"


def test_a_model_of_another_kind_is_not_asked_to_chat(world: ThreeModels) -> None:
    with pytest.raises(InvalidArgument) as caught:
        world.bot.complete(PROMPT, model_type=pb.Model.Type.EMBEDDING)
    assert [each.field for each in caught.value.violations] == ["route.model_type"]
