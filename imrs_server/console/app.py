"""``/healthz`` and ``/readyz``, from the gRPC health service; ``/metrics`` from what workers count."""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.applications import Starlette
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from imrs_server.telemetry import exposition

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from starlette.requests import Request

    from imrs_server.console.standing import Standing


def build(
    is_serving: Callable[[], bool], *, standing: Standing | None = None, figures: Path | None = None
) -> Starlette:
    """The HTTP application; ``is_serving`` asks the gRPC server. The rest as of ``Console``."""

    def alive(_request: Request) -> Response:
        return JSONResponse({"status": "ok"})

    def ready(_request: Request) -> Response:
        serves = (standing is None or standing.ready) and is_serving()
        told: dict[str, object] = {"status": "ok" if serves else "not ready"}
        if standing is not None:
            told["workers"] = {"serving": standing.serving, "of": standing.workers}
        return JSONResponse(told, status_code=200 if serves else 503)

    def metrics(request: Request) -> Response:
        assert figures is not None
        known = {}
        if standing is not None:
            known = {
                "imrs_workers": ("Worker processes that there should be.", standing.workers),
                "imrs_workers_serving": ("Worker processes that serve.", standing.serving),
            }
        body, content_type = exposition.render(figures, request.headers.get("accept", ""), known)
        return Response(body, headers={"content-type": content_type})

    routes = [Route("/healthz", alive), Route("/readyz", ready)]
    return Starlette(routes=[*routes, Route("/metrics", metrics)] if figures else routes)
