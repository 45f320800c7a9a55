"""``POST /v1/chat/completions``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from imrs_client.errors import ImrsError
from imrs_server.console.door import chat_answer, chat_request, members, reading, refusals

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from starlette.requests import Request

    from imrs_client.completion import Answer
    from imrs_client.v1 import CompleteEvent
    from imrs_server.console.door.answering import Reply
    from imrs_server.console.door.service import Service


class Chats:
    """Answers requests for chat completions by Complete."""

    def __init__(self, service: Service) -> None:
        self._service = service

    async def answer(self, request: Request, reply: Reply) -> None:
        """Raises Refused; what the service refuses is told."""
        token, body = reading.token(request), request.state.document
        asked = chat_request.read(body, reply.request_id)
        trail = reading.trail(request, reply.request_id)
        call: Any = self._service.client(token).route.Complete(asked, metadata=trail)
        chunks = chat_answer.Chunks(with_usage=chat_request.wants_usage(body))
        try:
            if asked.stream:
                await _stream(call, chunks, reply)
            else:
                await _whole(call, chunks.answer, reply)
        except ImrsError as failure:
            failed = chunks.answer.failed_attempts
            model = members.named_model(body)
            await reply.refuse(refusals.of_failure(failure, failed, model=model))
        finally:
            call.cancel()


async def _whole(events: AsyncIterator[CompleteEvent], answer: Answer, reply: Reply) -> None:
    async for event in events:
        answer.take(event)
    told = chat_answer.whole(answer.completion())
    await reply.document(told, headers=chat_answer.headers(answer.decision))


async def _stream(events: AsyncIterator[CompleteEvent], chunks: chat_answer.Chunks, reply: Reply) -> None:
    """The status is told with the first piece: until then a model may fail, and another one stand in."""
    async for event in events:
        for chunk in chunks.of(event):
            if not reply.is_begun:
                await reply.stream(chat_answer.headers(chunks.answer.decision))
            await reply.event(chunk)
    await reply.end()
