"""Looks whether what configuration files own is still as they gave it."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import structlog

from imrs_server.jobs.loop import Loop

if TYPE_CHECKING:
    from collections.abc import Callable

log = structlog.get_logger()

POLL_SECONDS = 10.0
RECOUNT_SECONDS = 60.0


class ConfigDrift:
    """A thread; ``things`` is how many things differ, None before it has looked.

    ``count`` counts them. It is asked again when ``revision`` has moved, and every ``recount_seconds``: a
    file that takes over what was edited changes what it owns, and nothing that has a revision.
    """

    def __init__(
        self,
        count: Callable[[], int],
        revision: Callable[[], int],
        *,
        poll_seconds: float = POLL_SECONDS,
        recount_seconds: float = RECOUNT_SECONDS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._count = count
        self._revision = revision
        self._clock = clock
        self._recount_seconds = recount_seconds
        self._poll_seconds = poll_seconds
        self._loop = Loop("config_drift", self._next, retry_seconds=poll_seconds)
        self._counted_at = -1
        self._count_again = 0.0
        self.things: int | None = None

    def start(self) -> None:
        self._loop.start()

    def stop(self) -> None:
        """End the thread and wait for it."""
        self._loop.stop()

    def turn(self) -> None:
        """Look once. Raises what may pass by itself, such as DatabaseUnavailable."""
        revision, now = self._revision(), self._clock()
        if revision != self._counted_at or now >= self._count_again:
            before, self.things = self.things or 0, self._count()
            self._counted_at, self._count_again = revision, now + self._recount_seconds
            if self.things != before:
                self._tell(self.things)

    def _tell(self, things: int) -> None:
        if things:
            log.warning("config.drifted", things=things, hint="`imrs config plan` shows them")
        else:
            log.info("config.as_given")

    def _next(self) -> float:
        self.turn()
        return self._poll_seconds
