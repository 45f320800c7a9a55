"""OpenAI's API in front of IMRS: whoever talks to OpenAI can talk to IMRS, by another address and token.

A client of the public API like any other: it knows only what the token that it was given may know.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.routing import Route

from imrs_server.console.door.answering import Endpoint
from imrs_server.console.door.chats import Chats
from imrs_server.console.door.embeddings import Embeddings
from imrs_server.console.door.listing import Listing
from imrs_server.console.door.refusals import Refused
from imrs_server.console.door.service import Service

if TYPE_CHECKING:
    from collections.abc import Sequence

    from starlette.requests import Request

    from imrs_server.console.door.answering import Reply


def routes(grpc_addr: str, *, connections: int) -> Sequence[Route]:
    """Its paths, below ``/v1``."""
    service = Service(grpc_addr, connections)
    listing = Listing(service)
    return (
        Route("/v1/chat/completions", Endpoint(Chats(service).answer), methods=["POST"]),
        Route("/v1/embeddings", Endpoint(Embeddings(service).answer), methods=["POST"]),
        Route("/v1/models", Endpoint(listing.answer), methods=["GET"]),
        Route("/v1/models/{model:path}", Endpoint(listing.answer_one), methods=["GET"]),
        Route("/v1/{path:path}", Endpoint(_unknown), methods=["GET", "POST", "PUT", "PATCH", "DELETE"]),
    )


async def _unknown(request: Request, _reply: Reply) -> None:
    raise Refused(
        f"There is no {request.method} {request.url.path[:300]} here.", status=404, code="unknown_url"
    )
