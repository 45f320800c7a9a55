"""``/healthz`` and ``/readyz``, from the gRPC health service; ``/metrics`` from what workers count; OpenAI's
API below ``/v1``.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from starlette.applications import Starlette
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from imrs_server.telemetry import exposition

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from starlette.requests import Request

    from imrs_server.console.process import Figures
    from imrs_server.console.standing import Standing


def build(
    is_serving: Callable[[], bool],
    *,
    door: Sequence[Route] = (),
    standing: Standing | None = None,
    figures: Figures | None = None,
) -> Starlette:
    """The HTTP application; ``is_serving`` asks the gRPC server. The rest as of ``Console``."""
    told = metrics(figures, standing) if figures else ()
    return Starlette(routes=[*health(is_serving, standing), *told, *door])


def health(is_serving: Callable[[], bool], standing: Standing | None) -> list[Route]:
    """What probes ask."""

    def alive(_request: Request) -> Response:
        return JSONResponse({"status": "ok"})

    def ready(_request: Request) -> Response:
        serves = (standing is None or standing.ready) and is_serving()
        told: dict[str, object] = {"status": "ok" if serves else "not ready"}
        if standing is not None:
            told["workers"] = {"serving": standing.serving, "of": standing.workers}
        return JSONResponse(told, status_code=200 if serves else 503)

    return [Route("/healthz", alive), Route("/readyz", ready)]


def metrics(figures: Figures, standing: Standing | None) -> list[Route]:
    """What Prometheus asks, and people who have none."""

    def everything(request: Request) -> Response:
        known = {}
        if standing is not None:
            known = {
                "imrs_workers": ("Worker processes that there should be.", standing.workers),
                "imrs_workers_serving": ("Worker processes that serve.", standing.serving),
            }
        body, content_type = exposition.render(figures.folder, request.headers.get("accept", ""), known)
        return Response(body, headers={"content-type": content_type})

    def tokens(_request: Request) -> Response:
        return JSONResponse(exposition.tokens(figures.folder, datetime.now(UTC)))

    routes = [Route("/metrics", everything)]
    return [*routes, Route("/metrics/tokens", tokens)] if figures.tokens else routes
