"""``/healthz`` and ``/readyz``, answered from the gRPC health service."""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.applications import Starlette
from starlette.responses import JSONResponse
from starlette.routing import Route

if TYPE_CHECKING:
    from collections.abc import Callable

    from starlette.requests import Request
    from starlette.responses import Response


def build(is_ready: Callable[[], bool]) -> Starlette:
    """The HTTP application; ``is_ready`` asks the gRPC server."""

    def alive(_request: Request) -> Response:
        return JSONResponse({"status": "ok"})

    def ready(_request: Request) -> Response:
        serving = is_ready()
        return JSONResponse({"status": "ok" if serving else "not ready"}, status_code=200 if serving else 503)

    return Starlette(routes=[Route("/healthz", alive), Route("/readyz", ready)])
