"""Complete on a whole server: models that answer, fail in every way, and what is kept of each call."""

from __future__ import annotations

import asyncio
import json
import time
from contextlib import ExitStack
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import psycopg
import pytest
from google.protobuf.field_mask_pb2 import FieldMask
from psycopg.rows import dict_row

from imrs_client import (
    AsyncImrsClient,
    FailedPrecondition,
    ImrsClient,
    ImrsError,
    InvalidArgument,
    ResourceExhausted,
    Unavailable,
)
from imrs_client import v1 as pb
from imrs_server.domain.principal import Role
from tests.support.chatting import breaks_off, goes_on, refuses, says, streams
from tests.support.provider import FakeProvider, answer, hang
from tests.support.service import Service
from tests.support.waiting import eventually

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.conftest import Vault
    from tests.support.provider import Behaviour

NAMES = ("first", "second", "third")
PROMPT = "Write a Python function that parses a date"
# 800 tokens at 1, 200 cached ones at 0.5 and 500 at 2 USD per 1M.
COST_USD = Decimal("0.0019")


@dataclass
class World:
    """Three providers of a model each, in the order in which they are chosen, and the agent that asks."""

    service: Service
    providers: dict[str, FakeProvider]
    bot: ImrsClient

    def play(self, **behaviours: Behaviour) -> None:
        for name, behaviour in behaviours.items():
            self.providers[name].script(behaviour)

    @property
    def asked(self) -> list[str]:
        """How often each was called, in the order of their names."""
        return [name for name, each in self.providers.items() for _ in each.requests]

    @property
    def messages(self) -> list[dict[str, Any]]:
        """What was kept, oldest first."""
        dsn = self.service.settings.database_url.get_secret_value()
        with psycopg.connect(dsn, row_factory=dict_row) as connection:
            return connection.execute("select * from messages order by create_time").fetchall()

    @property
    def kept(self) -> list[tuple[str, str, str]]:
        """Model, outcome and error kind of each call."""
        return [(row["model_id"][:-2], row["outcome"], row["error_kind"]) for row in self.messages]


@pytest.fixture
def world(service: Service) -> Iterator[World]:
    with ExitStack() as stack:
        providers = {name: stack.enter_context(FakeProvider(b"")) for name in NAMES}
        for number, (name, each) in enumerate(providers.items()):
            furnish(service, name, each, priority=90 - 30 * number)
        tenant = service.tenant
        routing = pb.RoutingPolicy(exploration=pb.RoutingPolicy.Exploration.OFF)
        tenant.admin.CreateAgent(pb.CreateAgentRequest(agent=pb.Agent(agent_id="bot", routing=routing)))
        everything = pb.EnableAgentModelsRequest(agent_id="bot", filter=pb.ModelFilter())
        tenant.admin.EnableAgentModels(everything)
        service.settled(tenant)
        yield World(service, providers, service.agent("bot"))


def furnish(service: Service, name: str, upstream: FakeProvider, *, priority: int, **fields: Any) -> None:
    platform = service.platform
    provider = pb.Provider(
        provider_id=name,
        provider_type=pb.Provider.Type.CUSTOM,
        api_base=f"{upstream.url}/v1",
        api_key="" if fields else f"sk-{name}",
        **fields,
    )
    platform.admin.CreateProvider(pb.CreateProviderRequest(provider=provider))
    model = pb.Model(
        provider_id=name,
        external_id="m",
        priority=priority,
        context_length=100_000,
        price_state=pb.Model.PriceState.PRICE_KNOWN,
        input_price_usd="1",
        output_price_usd="2",
        cached_input_price_usd="0.5",
    )
    platform.catalog.CreateModel(pb.CreateModelRequest(model=model))
    service.settled(platform)


def test_an_answer_with_its_usage_its_cost_and_a_message_that_can_be_rated(world: World) -> None:
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


def test_pieces_come_as_they_are_made(world: World) -> None:
    world.play(first=streams("Here ", "it ", "is"))
    with world.bot.stream(PROMPT) as answer:
        pieces = [each.content for each in answer]
    assert pieces == ["Here ", "it ", "is"]
    assert answer.completion.content == "Here it is"
    assert answer.completion.cost_usd == COST_USD
    assert json.loads(world.providers["first"].requests[0].body)["stream"] is True


def test_pieces_and_whole_answers_come_in_asyncio_too(world: World) -> None:
    world.providers["first"].script(says("Whole"), streams("Piece ", "by piece"))
    token = world.service.token(Role.AGENT, agent_id="bot")

    async def ask() -> tuple[str, list[str], str]:
        async with AsyncImrsClient(world.service.app.address, token=token) as bot:
            done = await bot.complete(PROMPT)
            async with bot.stream(PROMPT) as answer:
                pieces = [each.content async for each in answer]
            return done.content, pieces, answer.completion.content

    assert asyncio.run(ask()) == ("Whole", ["Piece ", "by piece"], "Piece by piece")


def test_a_call_that_cannot_be_recorded_does_not_say_that_it_was_completed(world: World) -> None:
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


def test_tokens_that_the_provider_does_not_count_are_estimated_and_said_to_be(world: World) -> None:
    world.play(first=says("x" * 400, usage=None))
    done = world.bot.complete("y" * 400)
    assert (done.usage.prompt_tokens, done.usage.completion_tokens) == (104, 100)
    assert done.usage.estimated
    (kept,) = world.messages
    assert (kept["prompt_tokens"], kept["completion_tokens"]) == (104, 100)
    assert (kept["tokens_estimated"], kept["metadata"]) == (True, {})


def test_what_has_no_price_costs_nothing_known(world: World) -> None:
    platform = world.service.platform
    model = pb.Model(model_id="first/m", price_state=pb.Model.PriceState.PRICE_UNKNOWN)
    platform.catalog.UpdateModel(
        pb.UpdateModelRequest(model=model, update_mask=FieldMask(paths=["price_state"]))
    )
    world.play(first=says("Hi"))
    assert world.bot.complete(PROMPT).cost_usd is None
    (kept,) = world.messages
    assert (kept["cost_usd"], kept["cost_priced"]) == (None, False)


def cut(handler: Any) -> None:
    """Less than was announced."""
    handler.raw(b'HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 99\r\n\r\n{"choices"')


GOES_ON: dict[str, tuple[Behaviour, str]] = {
    "rate limited": (refuses(429, retry_after="60"), "rate_limited"),
    "no credit": (refuses(429, "insufficient_quota"), "rate_limited"),
    "overloaded": (refuses(503), "overloaded"),
    "own failure": (refuses(500), "overloaded"),
    "refused key": (refuses(401), "auth"),
    "unknown model": (refuses(404, "model_not_found", "The model `m` does not exist"), "not_found"),
    "hangs up": (lambda _handler: None, "network"),
    "garbage": (answer(b"<p>"), "invalid_response"),
    "half an answer": (cut, "network"),
}


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("case", GOES_ON)
def test_the_next_model_answers_where_the_first_fails(world: World, case: str, stream: bool) -> None:
    """The failure is reported, kept for the model that failed, and costs nothing."""
    behaviour, kind = GOES_ON[case]
    world.play(first=behaviour)
    world.play(**{name: streams("Yes") if stream else says("Yes") for name in ("second", "third")})
    done = complete(world.bot, stream=stream)
    assert (done.content, done.model_id, done.decision.selected.model_id) == ("Yes", "second/m", "first/m")
    (failed,) = done.failed_attempts
    assert failed.model_id == "first/m"
    assert failed.error_kind == kind
    assert "sk-first" not in failed.detail
    assert world.asked == ["first", "second"]
    one, other = world.messages
    assert (one["model_id"], one["outcome"], one["error_kind"]) == ("first/m", "ERROR", kind)
    assert (one["prompt_tokens"], one["completion_tokens"], one["cost_usd"]) == (0, 0, 0)
    assert (str(other["message_id"]), other["outcome"]) == (done.message_id, "OK")
    assert str(one["decision_id"]) == str(other["decision_id"]) == done.decision.decision_id
    assert other["cost_usd"] == COST_USD


def complete(bot: ImrsClient, *, stream: bool, **fields: Any) -> Any:
    if not stream:
        return bot.complete(PROMPT, **fields)
    with bot.stream(PROMPT, **fields) as answer:
        for _ in answer:
            pass
    return answer.completion


@pytest.mark.parametrize(
    ("behaviour", "kind"),
    [
        (refuses(400, message="tools: bad"), "bad_request"),
        (refuses(400, "content_filter", "flagged by the content management policy"), "content_refused"),
    ],
)
def test_what_the_next_model_must_not_be_asked_ends_the_call(
    world: World, behaviour: Behaviour, kind: str
) -> None:
    world.play(first=behaviour)
    with pytest.raises(InvalidArgument) as caught:
        world.bot.complete(PROMPT)
    assert caught.value.reason == "INVALID_REQUEST"
    assert world.asked == ["first"]
    assert world.kept == [("first", "ERROR", kind)]


def test_what_a_provider_has_no_words_for_is_not_called_and_no_call_of_the_model(world: World) -> None:
    """Anthropic wants the arguments of a tool call as an object, OpenAI as a text."""
    platform = world.service.platform
    provider = pb.Provider(provider_id="first", dialect="anthropic")
    mask = FieldMask(paths=["dialect"])
    platform.admin.UpdateProvider(pb.UpdateProviderRequest(provider=provider, update_mask=mask))
    world.service.settled(platform)
    said = pb.ChatMessage(role="assistant", tool_calls=[pb.ToolCall(id="a", name="f", arguments="{")])
    told = [pb.ChatMessage(role="user", content="x"), said]
    world.play(second=says("Yes"))
    done = world.bot.complete(told, max_attempts=1)
    assert (done.content, done.model_id) == ("Yes", "second/m")
    assert [(each.model_id, each.error_kind) for each in done.failed_attempts] == [("first/m", "unsupported")]
    assert world.asked == ["second"]
    assert world.kept == [("second", "OK", "")]

    archive = pb.ChatMessage.Part(data=b"PK", mime_type="application/zip")
    with pytest.raises(InvalidArgument) as caught:
        world.bot.complete([pb.ChatMessage(role="user", parts=[archive])])
    assert caught.value.reason == "INVALID_REQUEST"
    assert "it does not take data of the type application/zip" in caught.value.message
    assert len(world.messages) == 1


def test_a_wrong_address_is_no_fault_of_the_caller(world: World) -> None:
    world.play(first=refuses(404, message="Invalid URL"), second=says("Yes"))
    assert world.bot.complete(PROMPT).model_id == "second/m"
    assert world.kept[0] == ("first", "ERROR", "invalid_response")


def test_a_prompt_too_long_goes_on_to_a_longer_window_alone(world: World) -> None:
    platform = world.service.platform
    model = pb.Model(model_id="third/m", context_length=200_000)
    platform.catalog.UpdateModel(
        pb.UpdateModelRequest(model=model, update_mask=FieldMask(paths=["context_length"]))
    )
    world.service.settled(platform)
    world.play(first=refuses(400, "context_length_exceeded"), third=says("Yes"))
    assert world.bot.complete(PROMPT).model_id == "third/m"
    assert world.asked == ["first", "third"]


def test_an_answer_that_breaks_off_ends_the_call_once_a_piece_was_delivered(world: World) -> None:
    """Its tokens are kept; nobody else goes on in the middle of it."""
    world.play(first=breaks_off("x" * 40))
    answer = world.bot.stream("y" * 400)
    with pytest.raises(Unavailable) as caught:
        list(answer)
    assert caught.value.reason == "PROVIDER_UNAVAILABLE"
    assert [each.error_kind for each in answer.failed_attempts] == ["mid_stream"]
    assert world.asked == ["first"]
    (kept,) = world.messages
    assert (kept["outcome"], kept["error_kind"]) == ("ERROR", "mid_stream")
    assert (kept["prompt_tokens"], kept["completion_tokens"]) == (104, 10)
    assert kept["cost_usd"] > 0


def test_a_caller_who_says_so_has_an_answer_that_broke_off_begun_anew(world: World) -> None:
    """It is told which pieces to drop, and pays for both; a second break is no end either."""
    world.play(first=breaks_off("x" * 40), second=breaks_off("y" * 20), third=streams("Ye", "s"))
    with world.bot.stream("z" * 400, allow_mid_stream_fallback=True) as answer:
        pieces = [(answer.restarts, piece.content) for piece in answer]
    assert pieces == [(0, "x" * 40), (1, "y" * 20), (2, "Ye"), (2, "s")]
    done = answer.completion
    assert (done.content, done.model_id) == ("Yes", "third/m")
    assert [(each.error_kind, each.partly_delivered) for each in done.failed_attempts] == [
        ("mid_stream", True)
    ] * 2
    assert [(model, kind) for model, _, kind in world.kept] == [
        ("first", "mid_stream"),
        ("second", "mid_stream"),
        ("third", ""),
    ]
    assert [row["completion_tokens"] for row in world.messages] == [10, 5, 500]
    assert str(world.messages[-1]["message_id"]) == done.decision.decision_id


def test_all_models_fail_and_the_last_failure_is_told(world: World) -> None:
    world.play(first=refuses(503), second=refuses(401), third=refuses(429, retry_after="7"))
    with pytest.raises(ResourceExhausted) as caught:
        world.bot.complete(PROMPT)
    assert (caught.value.reason, caught.value.retry_after_seconds) == ("PROVIDER_RATE_LIMITED", 7)
    assert world.asked == list(NAMES)
    assert world.kept == [
        ("first", "ERROR", "overloaded"),
        ("second", "ERROR", "auth"),
        ("third", "ERROR", "rate_limited"),
    ]
    *_, last = world.messages
    assert last["message_id"] == last["decision_id"]


def test_no_more_calls_than_asked_for(world: World) -> None:
    world.play(first=refuses(503), second=refuses(503))
    with pytest.raises(Unavailable):
        world.bot.complete(PROMPT, max_attempts=2)
    assert world.asked == ["first", "second"]


def test_with_attempts_left_a_model_is_called_again_when_it_said(world: World) -> None:
    world.play(first=refuses(429, retry_after="1"))
    world.providers["first"].script(says("Now"))
    start = time.monotonic()
    done = world.bot.complete(PROMPT, max_attempts=2, max_fallbacks=0)
    assert time.monotonic() - start >= 1
    assert (done.content, len(done.failed_attempts)) == ("Now", 1)
    assert world.kept == [("first", "ERROR", "rate_limited"), ("first", "OK", "")]


def test_a_wait_beyond_the_deadline_is_not_begun(world: World) -> None:
    world.play(first=refuses(429, retry_after="30"))
    start = time.monotonic()
    with pytest.raises(ResourceExhausted):
        world.bot.complete(PROMPT, max_attempts=2, max_fallbacks=0, timeout_seconds=25)
    assert time.monotonic() - start < 20


def test_a_model_that_hangs_leaves_time_for_the_next(world: World) -> None:
    world.play(first=hang, second=says("Yes"))
    done = world.bot.complete(PROMPT, timeout_seconds=4)
    assert (done.model_id, [each.error_kind for each in done.failed_attempts]) == ("second/m", ["timeout"])
    assert world.kept == [("first", "TIMEOUT", "timeout"), ("second", "OK", "")]


def test_a_caller_who_goes_away_is_kept_as_cancelled_and_the_provider_is_left(world: World) -> None:
    world.play(first=goes_on("x" * 40))
    with world.bot.stream("y" * 400) as answer:
        assert next(iter(answer)).content
    eventually(lambda: world.kept == [("first", "CANCELLED", "")])
    (kept,) = world.messages
    assert (kept["prompt_tokens"], kept["completion_tokens"]) == (104, 10)
    assert world.asked == ["first"]


def test_with_vault_sealed_no_call_leaves(world: World, vault: Vault) -> None:
    vault.server.seal()
    start = time.monotonic()
    with pytest.raises(FailedPrecondition) as caught:
        world.bot.complete(PROMPT)
    assert caught.value.reason == "VAULT_SEALED"
    assert time.monotonic() - start < 20
    assert world.asked == []
    assert world.messages == []


def test_a_provider_that_needs_no_key_answers_with_vault_sealed(world: World, vault: Vault) -> None:
    with FakeProvider(b"") as open_to_all:
        furnish(world.service, "open", open_to_all, priority=1, dialect="vllm")
        tenant = world.service.tenant
        everything = pb.EnableAgentModelsRequest(agent_id="bot", filter=pb.ModelFilter())
        tenant.admin.EnableAgentModels(everything)
        world.service.settled(tenant)
        open_to_all.script(says("Yes"))
        vault.server.seal()
        done = world.bot.complete(PROMPT)
    assert done.model_id == "open/m"
    assert [each.error_kind for each in done.failed_attempts] == ["auth"] * 3
    assert world.asked == []
    assert world.kept == [("open", "OK", "")]


def test_a_key_that_is_gone_is_passed_over(world: World, vault: Vault) -> None:
    root = vault.server.root_token
    vault.server.call("DELETE", "secret/metadata/llm/first", token=root)
    world.play(second=says("Yes"))
    assert world.bot.complete(PROMPT).model_id == "second/m"
    assert world.asked == ["second"]


def test_an_agents_own_key_is_used(world: World) -> None:
    request = pb.SetAgentKeyRequest(agent_id="bot", provider_id="first", api_key="sk-own")
    tenant = world.service.tenant
    tenant.admin.SetAgentKey(request)
    world.service.settled(tenant)
    world.play(first=says("Yes"))
    world.bot.complete(PROMPT)
    (asked,) = world.providers["first"].requests
    assert asked.headers["authorization"] == "Bearer sk-own"


def test_a_model_that_its_provider_does_not_know_is_missing_until_the_next_sync(world: World) -> None:
    platform = world.service.platform
    first = world.providers["first"]
    first.page("/v1/models", b'{"data": [{"id": "m"}, {"id": "n"}]}')
    list(platform.admin.SyncProvider(pb.SyncProviderRequest(provider_id="first")))
    world.play(first=refuses(404, "model_not_found", "The model `m` does not exist"), second=says("Yes"))
    world.bot.complete(PROMPT)
    eventually(lambda: lifecycle(platform) == pb.Model.Lifecycle.MISSING)
    list(platform.admin.SyncProvider(pb.SyncProviderRequest(provider_id="first")))
    assert lifecycle(platform) == pb.Model.Lifecycle.ACTIVE
    changes = pb.ListModelChangesRequest(model_id="first/m")
    found = platform.catalog.ListModelChanges(changes).model_changes
    names = [pb.ModelChange.Action.Name(each.action) for each in found]
    assert names[:2] == ["RETURNED", "MISSING"]


def lifecycle(platform: ImrsClient) -> int:
    return platform.catalog.GetModel(pb.GetModelRequest(model_id="first/m")).lifecycle


def test_a_conversation_with_tools_and_an_image_says_what_the_model_must_be_able_to(world: World) -> None:
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


def test_a_model_of_another_kind_is_not_asked_to_chat(world: World) -> None:
    with pytest.raises(InvalidArgument) as caught:
        world.bot.complete(PROMPT, model_type=pb.Model.Type.EMBEDDING)
    assert [each.field for each in caught.value.violations] == ["route.model_type"]
