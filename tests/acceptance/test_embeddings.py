"""Embed on a whole server, and by the stock `openai` package through the door."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

import openai
import psycopg
import pytest

from imrs_client import AsyncImrsClient, FailedPrecondition, InvalidArgument, Unavailable
from imrs_client import v1 as pb
from imrs_server.domain.principal import Role
from tests.support.chatting import refuses
from tests.support.door import Door, employ, furnish, opened
from tests.support.provider import FakeProvider, Received

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.service import Service

EMBEDS = "first/embeds"
TEXTS = ["one", "two and more"]


def vectors(received: Received) -> bytes:
    """As many as there are texts, each with the length of its text in it."""
    texts = json.loads(received.body)["input"]
    data = [{"index": i, "embedding": [0.5, float(len(each))]} for i, each in enumerate(texts)]
    return json.dumps({"data": data, "usage": {"prompt_tokens": 1000, "total_tokens": 1000}}).encode()


@pytest.fixture(scope="module")
def upstream() -> Iterator[FakeProvider]:
    with FakeProvider(b"", keeps=True) as started:
        started.page("/v1/embeddings", vectors)
        yield started


@pytest.fixture(scope="module")
def door(shared_service: Service, upstream: FakeProvider) -> Iterator[Door]:
    furnish(shared_service, "first", f"{upstream.url}/v1", "chats")
    for name, priority in (("embeds", 90), ("embeds-too", 10)):
        embedding = pb.Model.Type.EMBEDDING
        furnish_model(shared_service, name, model_type=embedding, priority=priority)
    employ(shared_service, "bot")
    employ(shared_service, "chatter", "first/chats")
    with opened(shared_service) as found:
        yield found


def furnish_model(service: Service, name: str, **fields: Any) -> None:
    platform = service.platform
    model = pb.Model(
        provider_id="first",
        external_id=name,
        context_length=8_000,
        price_state=pb.Model.PriceState.PRICE_KNOWN,
        input_price_usd="1",
        output_price_usd="0",
        **fields,
    )
    platform.catalog.CreateModel(pb.CreateModelRequest(model=model))
    service.settled(platform)


def test_a_vector_for_each_text_and_a_message_that_counts(door: Door) -> None:
    bot = door.service.agent("bot")
    found = bot.embed(TEXTS, metadata={"ticket": 7})

    assert [list(each.values) for each in found.vectors] == [[0.5, 3.0], [0.5, 12.0]]
    assert (found.model_id, found.usage.prompt_tokens, found.cost_usd) == (EMBEDS, 1000, "0.001")
    assert (found.decision.task.task_type, list(found.decision.fallbacks)) == ("embedding", [])
    dsn = door.service.settings.database_url.get_secret_value()
    with psycopg.connect(dsn) as connection:
        statement = "select outcome, prompt_tokens, metadata from messages where message_id = %s"
        assert connection.execute(statement, [found.message_id]).fetchone() == ("OK", 1000, {"ticket": 7})
    assert bot.rate(found.message_id, 1.0).model_id == EMBEDS


def test_in_asyncio(door: Door) -> None:
    async def embed() -> pb.EmbedResponse:
        token = door.service.token(Role.AGENT, agent_id="bot")
        async with AsyncImrsClient(door.service.app.address, token=token) as client:
            return await client.embed(TEXTS, dimensions=2)

    assert len(asyncio.run(embed()).vectors) == 2


def test_no_other_model_stands_in_and_a_model_that_chats_is_none(door: Door, upstream: FakeProvider) -> None:
    upstream.calm()
    upstream.script(refuses(503))
    with pytest.raises(Unavailable) as caught:
        door.service.agent("bot").embed(TEXTS)
    assert caught.value.reason == "PROVIDER_UNAVAILABLE"
    assert len(upstream.requests) == 1
    with pytest.raises(FailedPrecondition) as missing:
        door.service.agent("chatter").embed(TEXTS)
    assert missing.value.metadata["MODEL_TYPE"] == "1"
    with pytest.raises(InvalidArgument):
        door.service.agent("bot").embed(TEXTS, model_type=pb.Model.Type.CHAT)
    with pytest.raises(InvalidArgument):
        door.service.agent("bot").embed([])


def test_the_same_model_is_asked_again_where_that_is_wished_for(door: Door, upstream: FakeProvider) -> None:
    upstream.calm()
    upstream.script(refuses(503))
    found = door.service.agent("bot").embed(TEXTS, max_attempts=2)

    assert [each.error_kind for each in found.failed_attempts] == ["overloaded"]
    assert found.model_id == EMBEDS


@pytest.mark.parametrize("encoding", ["float", "base64", None])
def test_the_stock_client(door: Door, upstream: FakeProvider, encoding: Any) -> None:
    upstream.calm()
    wished = {"encoding_format": encoding} if encoding else {}
    found = door.agent("bot").embeddings.create(model="agent:bot", input=TEXTS, dimensions=2, **wished)

    if encoding != "base64":
        assert [each.embedding for each in found.data] == [[0.5, 3.0], [0.5, 12.0]]
    assert [each.index for each in found.data] == [0, 1]
    assert (found.model, found.usage.prompt_tokens, found.usage.total_tokens) == (EMBEDS, 1000, 1000)
    assert json.loads(upstream.requests[-1].body)["dimensions"] == 2
    assert (found.model_extra or {})["imrs"]["message_id"]


def test_the_stock_client_names_a_model_and_gives_one_text(door: Door, upstream: FakeProvider) -> None:
    found = door.agent("bot").embeddings.create(model="first/embeds-too", input="one")

    assert (found.model, found.data[0].embedding) == ("first/embeds-too", [0.5, 3.0])
    with pytest.raises(openai.NotFoundError):
        door.agent("bot").embeddings.create(model="first/nothing", input="one")
    with pytest.raises(openai.BadRequestError, match="input"):
        door.agent("bot").embeddings.create(model="agent:", input=[[1, 2, 3]])
    with pytest.raises(openai.AuthenticationError):
        door.client("nonsense").embeddings.create(model="agent:", input="x")
