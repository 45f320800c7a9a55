"""Requests for vectors by dialect, and what an answer must have."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from imrs_server.adapters import chat
from imrs_server.adapters.chat.embeddings import EmbeddingVoice
from imrs_server.domain.chat import ChatFailure, Delta, Ended, FailureKind, Piece
from imrs_server.domain.embedding import EmbeddingRequest
from tests.support import chat_shapes as shapes
from tests.support.chats import CLIENT
from tests.support.provider import FakeProvider, answer

if TYPE_CHECKING:
    from collections.abc import Iterator

ASKED = EmbeddingRequest(external_id="m", inputs=("one", "two"))


@pytest.fixture(scope="module")
def upstream() -> Iterator[FakeProvider]:
    with FakeProvider(b"") as started:
        yield started


def embed(upstream: FakeProvider, told: Any, request: EmbeddingRequest = ASKED) -> list[Piece | Ended]:
    upstream.script(answer(json.dumps(told).encode()))
    access = shapes.access(f"{upstream.url}/v1", "openai")
    return list(chat.stream(CLIENT, access, request, CLIENT.deadline(30)))


def test_vectors_come_in_the_order_of_the_texts_with_what_was_charged(upstream: FakeProvider) -> None:
    data = [{"index": 1, "embedding": [2, 2.5]}, {"index": 0, "embedding": [1.0, -1e-3]}]
    (piece, end) = embed(upstream, {"data": data, "usage": {"prompt_tokens": 7, "total_tokens": 7}})

    assert isinstance(piece, Delta)
    assert piece.vectors == ((1.0, -0.001), (2.0, 2.5))
    assert isinstance(end, Ended)
    assert end.usage is not None
    assert (end.usage.prompt_tokens, end.usage.completion_tokens) == (7, 0)
    assert json.loads(upstream.requests[-1].body) == {"model": "m", "input": ["one", "two"]}
    assert upstream.requests[-1].path == "/v1/embeddings"


@pytest.mark.parametrize(
    "data",
    [
        None,
        [],
        [{"embedding": [1.0]}],
        [{"embedding": [1.0]}, 2],
        [{"index": 0, "embedding": [1.0]}, {"index": 0, "embedding": [1.0]}],
        [{"index": 5, "embedding": [1.0]}, {"index": 0, "embedding": [1.0]}],
        [{"embedding": [1.0]}, {"embedding": []}],
        [{"embedding": [1.0]}, {"embedding": [True]}],
        [{"embedding": [1.0]}, {"embedding": "AAAA"}],
    ],
)
def test_what_is_no_vector_for_each_text_is_of_no_use(upstream: FakeProvider, data: Any) -> None:
    with pytest.raises(ChatFailure) as caught:
        embed(upstream, {"data": data})
    assert caught.value.kind is FailureKind.INVALID_RESPONSE


def test_an_error_in_a_good_answer_is_one(upstream: FakeProvider) -> None:
    with pytest.raises(ChatFailure) as caught:
        embed(upstream, {"error": {"message": "slow down", "type": "rate_limit_error"}})
    assert caught.value.kind is FailureKind.RATE_LIMITED


@pytest.mark.parametrize(
    ("dialect", "base", "url"),
    [
        ("openai", "https://llm.example.com/v1", "https://llm.example.com/v1/embeddings"),
        ("ollama", "http://127.0.0.1:11434", "http://127.0.0.1:11434/v1/embeddings"),
        ("cohere", "https://api.cohere.com/v2", "https://api.cohere.com/compatibility/v1/embeddings"),
        ("gemini", "https://g.example.com/v1beta", "https://g.example.com/v1beta/openai/embeddings"),
    ],
)
def test_the_address_is_beside_that_of_chats(dialect: str, base: str, url: str) -> None:
    wanted = EmbeddingRequest(
        external_id="m", inputs=("x",), dimensions=8, extra={"user": "ann", "temperature_boost": 1}
    )
    composed = EmbeddingVoice().compose(shapes.access(base, dialect), wanted)

    assert composed.call.url == url
    assert json.loads(composed.call.body or b"") == {
        "model": "m", "input": ["x"], "dimensions": 8, "user": "ann"
    }  # fmt: skip
    assert composed.dropped == ("extra.temperature_boost",)


def test_a_provider_without_embeddings_is_not_called() -> None:
    with pytest.raises(ChatFailure) as caught:
        EmbeddingVoice().compose(shapes.access("https://api.example.com/v1", "anthropic"), ASKED)
    assert caught.value.kind is FailureKind.UNSUPPORTED
