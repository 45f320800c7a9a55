"""What the calls of one client share."""

from __future__ import annotations

from contextlib import suppress
from threading import Lock
from typing import TYPE_CHECKING, Any, Final

from imrs_client.methods import METHODS, OTHER_TIMEOUT_SECONDS

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

REVISION: Final = "imrs-revision"


class Session:
    """Tenant, deadlines, and the newest revision that a write was answered with."""

    def __init__(self, *, tenant_id: str, timeouts_seconds: Mapping[str, float | None]) -> None:
        unknown = set(timeouts_seconds) - {method.name for method in METHODS.values()}
        if unknown:
            raise ValueError(
                f"timeouts_seconds names methods that do not exist: {', '.join(sorted(unknown))}"
            )
        self.tenant_id = tenant_id
        self.last_revision = 0
        self._timeouts_seconds = {
            path: timeouts_seconds.get(method.name, method.timeout_seconds)
            for path, method in METHODS.items()
        }
        self._lock = Lock()

    def timeout_seconds(self, path: str, asked: float | None) -> float | None:
        """What the caller asked for, else what the method usually gets."""
        return asked if asked is not None else self._timeouts_seconds.get(path, OTHER_TIMEOUT_SECONDS)

    def note(self, trailing_metadata: Iterable[Any] | None) -> None:
        """Remember the revision of a write."""
        for key, value in trailing_metadata or ():
            if key == REVISION:
                with suppress(ValueError), self._lock:
                    self.last_revision = max(self.last_revision, int(value))
