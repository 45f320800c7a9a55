"""Clients that wait: where a deadline is not what a test is about, a slow machine must not make it so."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from imrs_client import ImrsClient
from imrs_client.methods import METHODS

if TYPE_CHECKING:
    from collections.abc import Callable

SECONDS = 30.0

TIMEOUTS_SECONDS = {
    method.name: max(SECONDS, method.timeout_seconds)
    for method in METHODS.values()
    if method.timeout_seconds is not None
}


def client(address: str, token: str | Callable[[], str], **options: Any) -> ImrsClient:
    """To be closed."""
    return ImrsClient(address, token=token, timeouts_seconds=TIMEOUTS_SECONDS, **options)
