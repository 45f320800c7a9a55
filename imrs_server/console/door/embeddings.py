"""``POST /v1/embeddings``."""

from __future__ import annotations

import base64
import sys
from array import array
from typing import TYPE_CHECKING, Any

from imrs_client import v1 as pb
from imrs_client.errors import ImrsError
from imrs_server.console.door import chat_answer, members, reading, refusals
from imrs_server.console.door.refusals import Refused

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from starlette.requests import Request

    from imrs_server.console.door.answering import Reply
    from imrs_server.console.door.service import Service

_FORMATS = (None, "float", "base64")


class Embeddings:
    """Answers requests for vectors by Embed."""

    def __init__(self, service: Service) -> None:
        self._service = service

    async def answer(self, request: Request, reply: Reply) -> None:
        """Raises Refused; what the service refuses is told."""
        token, body = reading.token(request), request.state.document
        asked = _read(body, reply.request_id)
        try:
            trail = reading.trail(request, reply.request_id)
            found = await self._service.client(token).route.Embed(asked, metadata=trail)
        except ImrsError as failure:
            await reply.refuse(refusals.of_failure(failure, model=members.named_model(body)))
            return
        told = _answer(found, packed=body.get("encoding_format") == "base64")
        await reply.document(told, headers=chat_answer.headers(found.decision))


def _read(body: Mapping[str, Any], request_id: str) -> pb.EmbedRequest:
    if body.get("encoding_format") not in _FORMATS:
        raise Refused("encoding_format must be float or base64.", param="encoding_format")
    asked = pb.EmbedRequest(
        route=members.route(body, request_id),
        inputs=_inputs(body.get("input")),
        dimensions=members.whole(body, "dimensions") or 0,
    )
    members.settings(body, asked)
    return asked


def _inputs(given: Any) -> Sequence[str]:
    texts = [given] if isinstance(given, str) else given
    if not isinstance(texts, list) or not texts or not all(isinstance(each, str) for each in texts):
        # Tokens mean something else to each model.
        raise Refused("input must be a text or a list of texts.", param="input")
    return texts


def _answer(found: pb.EmbedResponse, *, packed: bool) -> dict[str, Any]:
    vectors = [_packed(each.values) if packed else list(each.values) for each in found.vectors]
    return {
        "object": "list",
        "data": [
            {"object": "embedding", "index": index, "embedding": each} for index, each in enumerate(vectors)
        ],
        "model": found.model_id,
        "usage": {"prompt_tokens": found.usage.prompt_tokens, "total_tokens": found.usage.prompt_tokens},
        "imrs": {
            "message_id": found.message_id,
            "decision_id": found.decision.decision_id,
            "model_id": found.model_id,
            "cost_usd": found.cost_usd or None,
            "latency_ms": found.latency_ms,
            "tokens_estimated": found.usage.estimated,
            "failed_attempts": [refusals.attempt(each) for each in found.failed_attempts],
            "dropped": list(found.dropped),
        },
    }


def _packed(numbers: Sequence[float]) -> str:
    """Four bytes a number, the least significant first."""
    found = array("f", numbers)
    if sys.byteorder == "big":
        found.byteswap()
    return base64.b64encode(found.tobytes()).decode("ascii")
