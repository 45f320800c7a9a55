"""Complete where models fail: who is asked next, who is not, and what is kept of each call."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import pytest
from google.protobuf.field_mask_pb2 import FieldMask

from imrs_client import (
    ImrsClient,
    InvalidArgument,
    ResourceExhausted,
    Unavailable,
)
from imrs_client import v1 as pb
from tests.support import chat_shapes as shapes
from tests.support.chatting import breaks_off, refuses, says, streams
from tests.support.provider import answer, hang
from tests.support.three_models import COST_USD, NAMES, PROMPT, ThreeModels, three_models
from tests.support.waiting import eventually

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.provider import Behaviour
    from tests.support.service import Service


@pytest.fixture
def world(service: Service) -> Iterator[ThreeModels]:
    with three_models(service) as found:
        yield found


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
def test_the_next_model_answers_where_the_first_fails(world: ThreeModels, case: str, stream: bool) -> None:
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
    world: ThreeModels, behaviour: Behaviour, kind: str
) -> None:
    world.play(first=behaviour)
    with pytest.raises(InvalidArgument) as caught:
        world.bot.complete(PROMPT)
    assert caught.value.reason == "INVALID_REQUEST"
    assert world.asked == ["first"]
    assert world.kept == [("first", "ERROR", kind)]


def test_what_a_provider_has_no_words_for_is_not_called_and_no_call_of_the_model(world: ThreeModels) -> None:
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


def test_a_wrong_address_is_no_fault_of_the_caller(world: ThreeModels) -> None:
    world.play(first=refuses(404, message="Invalid URL"), second=says("Yes"))
    assert world.bot.complete(PROMPT).model_id == "second/m"
    assert world.kept[0] == ("first", "ERROR", "invalid_response")


def test_a_prompt_too_long_goes_on_to_a_longer_window_alone(world: ThreeModels) -> None:
    platform = world.service.platform
    model = pb.Model(model_id="third/m", context_length=200_000)
    platform.catalog.UpdateModel(
        pb.UpdateModelRequest(model=model, update_mask=FieldMask(paths=["context_length"]))
    )
    world.service.settled(platform)
    world.play(first=refuses(400, "context_length_exceeded"), third=says("Yes"))
    assert world.bot.complete(PROMPT).model_id == "third/m"
    assert world.asked == ["first", "third"]


def test_an_answer_that_breaks_off_ends_the_call_once_a_piece_was_delivered(world: ThreeModels) -> None:
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


def test_a_caller_who_says_so_has_an_answer_that_broke_off_begun_anew(world: ThreeModels) -> None:
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


def test_all_models_fail_and_the_last_failure_is_told(world: ThreeModels) -> None:
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


def test_no_more_calls_than_asked_for(world: ThreeModels) -> None:
    world.play(first=refuses(503), second=refuses(503))
    with pytest.raises(Unavailable):
        world.bot.complete(PROMPT, max_attempts=2)
    assert world.asked == ["first", "second"]


def test_with_attempts_left_a_model_is_called_again_when_it_said(world: ThreeModels) -> None:
    world.play(first=refuses(429, retry_after="1"))
    world.providers["first"].script(says("Now"))
    start = time.monotonic()
    done = world.bot.complete(PROMPT, max_attempts=2, max_fallbacks=0)
    assert time.monotonic() - start >= 1
    assert (done.content, len(done.failed_attempts)) == ("Now", 1)
    assert world.kept == [("first", "ERROR", "rate_limited"), ("first", "OK", "")]


def test_a_wait_beyond_the_deadline_is_not_begun(world: ThreeModels) -> None:
    world.play(first=refuses(429, retry_after="30"))
    start = time.monotonic()
    with pytest.raises(ResourceExhausted):
        world.bot.complete(PROMPT, max_attempts=2, max_fallbacks=0, timeout_seconds=25)
    assert time.monotonic() - start < 20


def test_a_model_that_hangs_leaves_time_for_the_next(world: ThreeModels) -> None:
    world.play(first=hang, second=says("Yes"))
    done = world.bot.complete(PROMPT, timeout_seconds=12)
    assert (done.model_id, [each.error_kind for each in done.failed_attempts]) == ("second/m", ["timeout"])
    assert world.kept == [("first", "TIMEOUT", "timeout"), ("second", "OK", "")]


def test_a_model_that_thinks_has_all_of_the_time(world: ThreeModels) -> None:
    """One that says nothing has half of it, so that another one may still answer."""

    def behave(handler: Any) -> None:
        handler.raw(shapes.HEAD + shapes.sse(shapes.delta(reasoning_content="hm"), end=b""))
        handler.provider.stopping.wait(9)
        handler.raw(shapes.sse(shapes.delta("Yes", "stop")))

    world.play(first=behave)
    done = world.bot.complete(PROMPT, timeout_seconds=16)
    assert (done.model_id, done.content, list(done.failed_attempts)) == ("first/m", "Yes", [])


def test_a_model_that_its_provider_does_not_know_is_missing_until_the_next_sync(world: ThreeModels) -> None:
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
