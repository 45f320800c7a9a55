"""What a run of ``imrs serve`` shows on its address for metrics."""

from __future__ import annotations

import http.client
import json
from typing import TYPE_CHECKING, Any

from prometheus_client.parser import text_string_to_metric_families

from tests.support import patience

if TYPE_CHECKING:
    from tests.support.serve import Serve


def get(serve: Serve, path: str = "/metrics") -> tuple[int, str]:
    connection = http.client.HTTPConnection(serve.address("metrics.started"), timeout=patience.SECONDS)
    try:
        connection.request("GET", path)
        found = connection.getresponse()
        return found.status, found.read().decode()
    finally:
        connection.close()


def value(serve: Serve, name: str, **labels: str) -> float:
    """The one sample of that name and those labels; 0 where there is none yet."""
    families = text_string_to_metric_families(get(serve)[1])
    found = [
        each.value
        for family in families
        for each in family.samples
        if each.name == name and labels.items() <= each.labels.items()
    ]
    assert len(found) <= 1, f"{name} is not one figure: {found}"
    return found[0] if found else 0.0


def tokens(serve: Serve) -> dict[str, Any]:
    """What /metrics/tokens says."""
    status, body = get(serve, "/metrics/tokens")
    assert status == 200, body
    found: dict[str, Any] = json.loads(body)
    return found
