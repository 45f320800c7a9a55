"""Keeps what a provider's rate_limit_rpm allows, over all servers."""

from __future__ import annotations

import threading
import time
from collections import deque
from typing import TYPE_CHECKING

from imrs_server.adapters.failures import RateLimited
from imrs_server.domain.call_rate import BLOCK_SECONDS
from imrs_server.storage import provider_calls

if TYPE_CHECKING:
    from collections.abc import Callable

    from imrs_server.storage.database import Database

# A server that is held up for longer than a block is good for is granted another one.
_MOST_TRIES = 5


class CallRates:
    """``used_up`` hears of each refusal: the provider, and how long until it takes calls again."""

    def __init__(
        self,
        database: Database,
        *,
        used_up: Callable[[str, float], None] = lambda _provider_id, _wait_seconds: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._database = database
        self._used_up = used_up
        self._clock = clock
        self._lock = threading.Lock()
        self._granted: dict[str, deque[float]] = {}

    def take(self, provider_id: str) -> float:
        """0.0 where a call may be made at once; else how many seconds until one may.

        Raises DatabaseUnavailable, for without the database nobody knows how many the others make.
        """
        for _ in range(_MOST_TRIES):
            if self._used(provider_id):
                return 0.0
            wait_seconds = self._ask(provider_id)
            if wait_seconds is None:
                return 0.0
            if wait_seconds > 0:
                self._used_up(provider_id, wait_seconds)
                return wait_seconds
        return BLOCK_SECONDS

    def permit(self, provider_id: str) -> None:
        """The same for who knows how to wait for a provider that says 429. Raises RateLimited."""
        wait_seconds = self.take(provider_id)
        if wait_seconds > 0:
            raise RateLimited("its rate_limit_rpm is used up", retry_after_seconds=wait_seconds, again=True)

    def _used(self, provider_id: str) -> bool:
        """Use one of those that this server was granted."""
        with self._lock:
            ends = self._granted.get(provider_id)
            while ends:
                if self._clock() < ends.popleft():
                    return True
            return False

    def _ask(self, provider_id: str) -> float | None:
        """Ask for more: 0.0 where some were granted, else how long to wait; None where there is no limit."""
        with self._database.transaction() as tx:
            provider_calls.hold(tx, provider_id)
            # Before the database looks at its clock, so that nothing is used later than it thinks.
            end = self._clock() + BLOCK_SECONDS
            known = provider_calls.recent(tx, provider_id)
            if known is None:
                return None
            block = known.block
            if not block:
                return max(known.wait_seconds, BLOCK_SECONDS)
            provider_calls.add(tx, provider_id, known, block)
        with self._lock:
            self._granted.setdefault(provider_id, deque()).extend([end] * block)
        return 0.0
