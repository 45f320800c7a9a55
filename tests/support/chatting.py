"""A provider that talks as OpenAI does: what it does with the next calls."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from tests.support.provider import answer

if TYPE_CHECKING:
    from tests.support.provider import Behaviour

USAGE = {"prompt_tokens": 1000, "completion_tokens": 500, "prompt_tokens_details": {"cached_tokens": 200}}


def says(text: str, *, usage: dict[str, Any] | None = USAGE) -> Behaviour:
    """A whole answer in one piece."""
    return answer(whole(text, usage))


def whole(text: str, usage: dict[str, Any] | None = USAGE) -> bytes:
    """The body of such an answer."""
    choice = {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}
    body = {"id": "c", "object": "chat.completion", "model": "m", "choices": [choice]}
    return json.dumps(body | ({"usage": usage} if usage else {})).encode()


def streams(*texts: str, usage: dict[str, Any] | None = USAGE) -> Behaviour:
    """A whole answer in pieces."""
    chunks = [_chunk({"content": each}) for each in texts]
    end: list[Any] = [_chunk({}, "stop")] + ([{"choices": [], "usage": usage}] if usage else [])
    body = b"".join(map(event, [*chunks, *end])) + b"data: [DONE]\n\n"
    return answer(body, kind="text/event-stream")


def breaks_off(*texts: str) -> Behaviour:
    """Pieces, and then the connection is gone."""

    def behave(handler: Any) -> None:
        handler.raw(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n")
        for each in texts:
            handler.raw(event(_chunk({"content": each})))

    return behave


def goes_on(*texts: str) -> Behaviour:
    """Pieces, and then nothing for as long as the caller holds on."""

    def behave(handler: Any) -> None:
        breaks_off(*texts)(handler)
        handler.provider.stopping.wait(30)

    return behave


def refuses(status: int, code: str = "", message: str = "no", **headers: str) -> Behaviour:
    """An error in OpenAI's shape."""
    body = {"error": {"message": message, "type": "error", "code": code or None}}
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return answer(json.dumps(body).encode(), status=status, headers=named)


def event(value: Any) -> bytes:
    return b"data: " + json.dumps(value).encode() + b"\n\n"


def _chunk(delta: dict[str, Any], finish_reason: str | None = None) -> dict[str, Any]:
    return {"id": "c", "choices": [{"index": 0, "delta": delta, "finish_reason": finish_reason}]}
