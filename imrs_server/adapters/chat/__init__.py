"""Calls of models, one small module per way of talking; ``prepare`` picks one by the provider's dialect."""

from __future__ import annotations

from itertools import chain
from typing import TYPE_CHECKING, NamedTuple

from imrs_server.adapters import json_stream
from imrs_server.adapters.chat import failures, sse
from imrs_server.adapters.chat.anthropic import AnthropicVoice
from imrs_server.adapters.chat.embeddings import EmbeddingVoice
from imrs_server.adapters.chat.openai import OpenAIVoice
from imrs_server.adapters.chat.voice import Refused
from imrs_server.adapters.failures import CallFailed, CutOff, Unusable
from imrs_server.domain.chat import ChatFailure, Delta, Ended, FailureKind, FinishReason
from imrs_server.domain.embedding import EmbeddingRequest
from imrs_server.domain.errors import AddressForbidden, InvalidRequest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from imrs_server.adapters.chat.voice import Answer, Composed, Voice
    from imrs_server.adapters.http import Answer as HttpAnswer
    from imrs_server.adapters.http import GuardedClient
    from imrs_server.adapters.network import Deadline
    from imrs_server.adapters.providers.dialect import Access
    from imrs_server.domain.chat import ChatRequest, Piece

STREAM_BYTES = 64 << 20
"""The largest answer, all its events together."""

DOCUMENT_BYTES = 16 << 20
"""The largest answer in one piece."""

_ANTHROPIC = AnthropicVoice()
_EMBEDDINGS = EmbeddingVoice()
_OPENAI = OpenAIVoice()


class Prepared(NamedTuple):
    """A call that was put into the words of its provider, to be made once."""

    access: Access
    composed: Composed
    answer: Answer
    wants_stream: bool


def prepare(access: Access, request: ChatRequest | EmbeddingRequest) -> Prepared:
    """The call. Raises ChatFailure of the kind UNSUPPORTED where the provider has no way to take it."""
    if isinstance(request, EmbeddingRequest):
        composed = _EMBEDDINGS.compose(access, request)
        return Prepared(access, composed, _EMBEDDINGS.answer(request), wants_stream=False)
    voice: Voice = _ANTHROPIC if access.provider.dialect == "anthropic" else _OPENAI
    return Prepared(access, voice.compose(access, request), voice.answer(), request.stream)


def stream(
    client: GuardedClient, access: Access, request: ChatRequest | EmbeddingRequest, deadline: Deadline
) -> Iterator[Piece | Ended]:
    """Prepare the call and make it."""
    yield from send(client, prepare(access, request), deadline)


def send(client: GuardedClient, prepared: Prepared, deadline: Deadline) -> Iterator[Piece | Ended]:
    """Call the model once: its answer in pieces, and then Ended. Raises ChatFailure, and nothing else.

    ``client`` bounds the connect and the silence between two pieces (its Timing); it tries once. Closing the
    iterator closes the connection; one whose answer came to its end may serve the next call.
    """
    access, composed, answer, wants_stream = prepared
    delivered = False
    try:
        with client.exchange(composed.call, deadline, STREAM_BYTES) as response:
            for piece in _read(answer, response, access, wants_stream=wants_stream):
                delivered = delivered or isinstance(piece, Delta)
                yield piece
            # What follows the end of an answer is the end of its transfer, as a rule.
            response.finish()
    except (ChatFailure, CallFailed, Refused, AddressForbidden, InvalidRequest) as raised:
        # What ends after its end was given is whole.
        if answer.finish_reason is None or isinstance(raised, Refused):
            failure = _failure(raised, access, deadline)
            failure.usage = answer.usage
            raise (failure.mid_stream() if delivered else failure) from None
    if answer.finish_reason is None and not delivered:
        raise ChatFailure(FailureKind.INVALID_RESPONSE, "the answer is empty", usage=answer.usage)
    finish_reason = answer.finish_reason or FinishReason.STOP
    yield Ended(finish_reason=finish_reason, usage=answer.usage, dropped=composed.dropped)


def _read(answer: Answer, response: HttpAnswer, access: Access, *, wants_stream: bool) -> Iterator[Piece]:
    if response.status != 200:
        told = _beginning(response, failures.BODY_BYTES)
        raise failures.of_answer(response.status, response.headers, told, access.key)
    kind = response.headers.get("content-type", "").partition(";")[0].strip().lower()
    first = next(response.body, b"")
    body = chain((first,), response.body)
    is_document = first.lstrip()[:1] in (b"{", b"[", b"<") or not wants_stream
    if kind == "text/event-stream" or not (is_document or kind == "application/json"):
        yield from _events(answer, body)
        return
    value = json_stream.parse(_whole(body))
    if not isinstance(value, dict):
        raise Unusable("the answer is not an object")
    yield from answer.document(value)


def _events(answer: Answer, body: Iterator[bytes]) -> Iterator[Piece]:
    for event in sse.events(body):
        yield from answer.event(event)
        if answer.is_done:
            break
    if not answer.is_done and answer.finish_reason is None:
        raise CutOff("the answer ends before its end")


def _beginning(response: HttpAnswer, most: int) -> bytes:
    """As much of the body as comes, up to a size; its status has said enough where it breaks."""
    body = bytearray()
    try:
        for chunk in response.body:
            body += chunk
            if len(body) >= most:
                break
    except CallFailed:
        pass
    return bytes(body[:most])


def _whole(body: Iterator[bytes]) -> bytes:
    whole = bytearray()
    for chunk in body:
        whole += chunk
        if len(whole) > DOCUMENT_BYTES:
            raise Unusable(f"the answer is larger than {DOCUMENT_BYTES >> 20} MiB")
    return bytes(whole)


def _failure(raised: Exception, access: Access, deadline: Deadline) -> ChatFailure:
    match raised:
        case ChatFailure():
            return raised
        case CallFailed():
            return failures.of_call(raised, deadline)
        case Refused():
            return failures.of_error(raised.error, access.key)
        case AddressForbidden() | InvalidRequest():
            return ChatFailure(FailureKind.NETWORK, raised.message, again=False)
        case _:
            raise raised
