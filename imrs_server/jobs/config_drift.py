"""Looks whether what configuration files own is still as they gave it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from imrs_server.jobs.loop import Loop

if TYPE_CHECKING:
    from collections.abc import Callable

POLL_SECONDS = 10.0


class ConfigDrift:
    """A thread; ``things`` is how many things differ, None before it has looked.

    ``count`` counts them, and is only asked again when ``revision`` has moved.
    """

    def __init__(
        self, count: Callable[[], int], revision: Callable[[], int], *, poll_seconds: float = POLL_SECONDS
    ) -> None:
        self._count = count
        self._revision = revision
        self._poll_seconds = poll_seconds
        self._loop = Loop("config_drift", self._next, retry_seconds=poll_seconds)
        self._counted_at = -1
        self.things: int | None = None

    def start(self) -> None:
        self._loop.start()

    def stop(self) -> None:
        """End the thread and wait for it."""
        self._loop.stop()

    def _next(self) -> float:
        revision = self._revision()
        if revision != self._counted_at:
            self.things = self._count()
            self._counted_at = revision
        return self._poll_seconds
