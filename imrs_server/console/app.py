"""``/healthz`` and ``/readyz``, from the gRPC health service."""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.applications import Starlette
from starlette.responses import JSONResponse
from starlette.routing import Route

if TYPE_CHECKING:
    from collections.abc import Callable

    from starlette.requests import Request
    from starlette.responses import Response

    from imrs_server.console.standing import Standing


def build(is_serving: Callable[[], bool], *, standing: Standing | None = None) -> Starlette:
    """The HTTP application; ``is_serving`` asks the gRPC server. The rest as of ``Console``."""

    def alive(_request: Request) -> Response:
        return JSONResponse({"status": "ok"})

    def ready(_request: Request) -> Response:
        serves = (standing is None or standing.ready) and is_serving()
        told: dict[str, object] = {"status": "ok" if serves else "not ready"}
        if standing is not None:
            told["workers"] = {"serving": standing.serving, "of": standing.workers}
        return JSONResponse(told, status_code=200 if serves else 503)

    return Starlette(routes=[Route("/healthz", alive), Route("/readyz", ready)])
