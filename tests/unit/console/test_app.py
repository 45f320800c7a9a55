"""What the HTTP process serves, by how it is built."""

from __future__ import annotations

from pathlib import Path

from starlette.routing import Route

from imrs_server.console import app
from imrs_server.console.process import Figures


def paths(figures: Figures | None) -> list[str]:
    routes = app.build(lambda: True, figures=figures).routes
    return [each.path for each in routes if isinstance(each, Route)]


def test_figures_are_served_where_they_are_counted() -> None:
    assert paths(None) == ["/healthz", "/readyz"]
    assert paths(Figures(folder=Path())) == ["/healthz", "/readyz", "/metrics", "/metrics/tokens"]
    assert paths(Figures(folder=Path(), tokens=False)) == ["/healthz", "/readyz", "/metrics"]
