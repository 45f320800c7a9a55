"""Embeddings in OpenAI's shape, which everybody copies who has them.

POST {base}/embeddings {model, input: [...], dimensions} -> ``{"data": [{"index", "embedding": [...]}],
"usage": {"prompt_tokens", "total_tokens"}}``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from imrs_server.adapters.chat import doors
from imrs_server.adapters.chat.parameters import exact
from imrs_server.adapters.chat.voice import Composed, Refused, count, encode, unsayable
from imrs_server.adapters.failures import Unusable
from imrs_server.adapters.http import Call
from imrs_server.domain.chat import Delta, FinishReason, TokenUsage

if TYPE_CHECKING:
    from collections.abc import Iterator

    from imrs_server.adapters.chat.sse import Event
    from imrs_server.adapters.providers.dialect import Access
    from imrs_server.domain.embedding import EmbeddingRequest

# What further parameters are about chats is of no use here.
_WORDS = frozenset({"user", "input_type", "task", "truncate"})
_NUMBERS_MOST = 1 << 16


class EmbeddingVoice:
    """Asks for vectors."""

    def compose(self, access: Access, request: EmbeddingRequest) -> Composed:
        """The call. Raises ChatFailure where the provider has no such thing."""
        if access.provider.dialect == "anthropic":
            raise unsayable("texts to embed")
        body: dict[str, Any] = {"model": request.external_id, "input": list(request.inputs)}
        if request.dimensions is not None:
            body["dimensions"] = request.dimensions
        body |= {name: exact(value) for name, value in request.extra.items() if name in _WORDS}
        dropped = tuple(f"extra.{name}" for name in request.extra if name not in _WORDS)
        url = doors.url_of(access, request.external_id, doors.EMBEDDINGS)
        call = Call(url=url, headers=doors.headers_of(access), body=encode(body))
        return Composed(call=call, dropped=dropped)

    def answer(self, request: EmbeddingRequest) -> EmbeddingAnswer:
        return EmbeddingAnswer(len(request.inputs))


class EmbeddingAnswer:
    """Reads as many vectors as there were texts."""

    def __init__(self, wanted: int) -> None:
        self.finish_reason: FinishReason | None = None
        self.usage: TokenUsage | None = None
        self.is_done = False
        self._wanted = wanted

    def event(self, event: Event) -> Iterator[Delta]:
        del event
        raise Unusable("the answer is a stream, which was not asked for")

    def document(self, value: dict[str, Any]) -> Iterator[Delta]:
        if value.get("error"):
            raise Refused(value)
        vectors = self._vectors(value.get("data"))
        usage = value.get("usage")
        if isinstance(usage, dict) and (tokens := count(usage.get("prompt_tokens"))):
            self.usage = TokenUsage(prompt_tokens=tokens)
        self.finish_reason = FinishReason.STOP
        self.is_done = True
        yield Delta(vectors=vectors)

    def _vectors(self, data: object) -> tuple[tuple[float, ...], ...]:
        if not isinstance(data, list) or len(data) != self._wanted:
            raise Unusable("the answer has not a vector for each text")
        found: list[tuple[float, ...] | None] = [None] * self._wanted
        for place, each in enumerate(data):
            if not isinstance(each, dict):
                raise Unusable("a vector of the answer is not an object")
            index = each.get("index", place)
            if not isinstance(index, int) or not 0 <= index < self._wanted or found[index] is not None:
                raise Unusable("the vectors of the answer are numbered wrongly")
            found[index] = _vector(each.get("embedding"))
        return tuple(each for each in found if each is not None)


def _vector(numbers: object) -> tuple[float, ...]:
    if not isinstance(numbers, list) or not 0 < len(numbers) <= _NUMBERS_MOST:
        raise Unusable("a vector of the answer is not a list of numbers")
    if not all(type(each) in (int, float) for each in numbers):
        raise Unusable("a vector of the answer has something else than numbers")
    return tuple(float(each) for each in numbers)
