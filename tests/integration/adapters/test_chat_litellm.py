"""Chats with LiteLLM's proxy, a server that we did not write, in OpenAI's dialect and in Anthropic's.

It is installed and run by ``make test-litellm``.
"""

from __future__ import annotations

import json
from ipaddress import ip_network
from typing import TYPE_CHECKING, Any

import pytest

from imrs_server.adapters import chat
from imrs_server.adapters.addresses import AddressRules
from imrs_server.adapters.http import GuardedClient, Timing
from imrs_server.domain.chat import ChatFailure, Ended, FailureKind, FinishReason, Piece
from imrs_server.domain.parameters import Parameters
from tests.support import chat_shapes as shapes
from tests.support.chats import calls_of, end_of, text_of
from tests.support.litellm import KEY, PROGRAM, serving

if TYPE_CHECKING:
    from collections.abc import Iterator

    from imrs_server.domain.chat import ChatRequest

pytestmark = pytest.mark.skipif(not PROGRAM, reason="run by make test-litellm")

# Its first answers take long.
CLIENT = GuardedClient(
    AddressRules(allowed=(ip_network("127.0.0.0/8"),)), timing=Timing(tries=1, read_seconds=60)
)
WEATHER = {"name": "weather", "arguments": json.dumps({"city": "Bern"})}
TOOL = {"type": "function", "function": {"name": "weather", "parameters": {"type": "object"}}}
ANSWER = "Good day to you, from somebody else's server"
MODELS: dict[str, dict[str, Any]] = {
    "speaks": {"mock_response": ANSWER},
    "calls": {
        "mock_response": "",
        "mock_tool_calls": [{"id": "call_1", "type": "function", "function": WEATHER}],
    },
    "limited": {"mock_response": "litellm.RateLimitError"},
    "broken": {"mock_response": "litellm.InternalServerError"},
    "short": {"mock_response": "litellm.ContextWindowExceededError"},
    "slow": {"mock_response": ANSWER, "mock_delay": 5},
}


@pytest.fixture(scope="module")
def litellm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with serving(MODELS, tmp_path_factory.mktemp("litellm")) as url:
        yield url


def talk(
    url: str, request: ChatRequest, dialect: str = "openai", *, seconds: float = 60
) -> list[Piece | Ended]:
    access = shapes.access(f"{url}/v1", dialect, key=KEY)
    return list(chat.stream(CLIENT, access, request, CLIENT.deadline(seconds)))


@pytest.mark.parametrize("dialect", ["openai", "anthropic"])
@pytest.mark.parametrize("streamed", [True, False])
def test_it_answers(litellm: str, dialect: str, streamed: bool) -> None:
    given = Parameters(temperature=0.5, max_output_tokens=100, stop=("END",))
    request = shapes.request(external_id="speaks", stream=streamed, parameters=given)

    came = talk(litellm, request, dialect)

    assert text_of(came) == ANSWER
    end = end_of(came)
    assert end.finish_reason is FinishReason.STOP
    assert end.usage is not None
    assert end.usage.prompt_tokens > 0
    assert end.usage.completion_tokens > 0


def test_it_calls_tools(litellm: str) -> None:
    # In one piece: in a stream its mock leaves them out.
    came = talk(litellm, shapes.request(external_id="calls", stream=False, tools=(TOOL,)))

    called = calls_of(came)
    assert "".join(call.id for call in called) == "call_1"
    assert "".join(call.name for call in called) == "weather"
    assert json.loads("".join(call.arguments for call in called)) == {"city": "Bern"}
    assert end_of(came).finish_reason is FinishReason.TOOL_CALLS


@pytest.mark.parametrize(
    ("model", "kind"),
    [
        ("limited", FailureKind.RATE_LIMITED),
        ("broken", FailureKind.OVERLOADED),
        ("short", FailureKind.CONTEXT_TOO_LONG),
    ],
)
@pytest.mark.parametrize("dialect", ["openai", "anthropic"])
@pytest.mark.parametrize("streamed", [True, False])
def test_it_fails(litellm: str, model: str, kind: FailureKind, dialect: str, streamed: bool) -> None:
    with pytest.raises(ChatFailure) as caught:
        talk(litellm, shapes.request(external_id=model, stream=streamed), dialect)

    assert caught.value.cause is kind


def test_a_model_that_it_does_not_have_is_not_found(litellm: str) -> None:
    with pytest.raises(ChatFailure) as caught:
        talk(litellm, shapes.request(external_id="nobody"))

    assert caught.value.kind is FailureKind.NOT_FOUND


def test_it_is_left_when_the_time_is_over(litellm: str) -> None:
    with pytest.raises(ChatFailure) as caught:
        talk(litellm, shapes.request(external_id="slow"), seconds=1)

    assert caught.value.kind is FailureKind.TIMEOUT
