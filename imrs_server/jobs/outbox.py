"""Delivers the outbox to SomaBrain, at least once."""

from __future__ import annotations

import random
import time
from datetime import timedelta
from typing import TYPE_CHECKING

import structlog

from imrs_server.jobs.delivery import Round, deliver
from imrs_server.jobs.loop import Loop
from imrs_server.storage import outbox
from imrs_server.storage.outbox import PutOff

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from imrs_server.adapters.somabrain import Rejection, SomaBrain
    from imrs_server.storage.database import Database
    from imrs_server.storage.outbox import Claimed

log = structlog.get_logger()

BATCH = 100
CAPACITY = 1_000_000
TRIES = 10
POLL_SECONDS = 2.0
LEASE = timedelta(seconds=60)
# What is claimed is tried for this long; the rest of the lease is for the request that is under way then.
ROUND_SECONDS = 35.0
RETRY_SECONDS = 5.0
# To look costs a second for each few hundred thousand rows that wait.
TRIM_SECONDS = 120.0
_TRIMMED_AT_ONCE = 10_000
_REST_SECONDS = 0.1
_ITEM_BACKOFF_CAP_SECONDS = 600.0
_AWAY_CAP_SECONDS = 60.0


class OutboxDelivery:
    """A thread that takes turns: at once when woken, else at every poll for what other servers' votes left.

    Every server runs one; each claims rows of its own for a while, so they share the work, and what a server
    that died had claimed goes out later. An item that fails while others arrive is tried ten times, ever more
    seldom, and then parked, like one that is refused. While SomaBrain is away nothing is counted; the table
    keeps ``capacity`` rows, and loses its oldest beyond. ``dropped`` and ``parked`` count what was not told.
    """

    def __init__(
        self,
        database: Database,
        somabrain: SomaBrain,
        *,
        batch: int = BATCH,
        capacity: int = CAPACITY,
        poll_seconds: float = POLL_SECONDS,
        away_seconds: float = 1.0,
        chance: random.Random | None = None,
    ) -> None:
        self._database = database
        self._somabrain = somabrain
        self._batch = batch
        self._capacity = capacity
        self._poll_seconds = poll_seconds
        self._away_seconds = away_seconds
        self._chance = chance or random.Random()  # noqa: S311  (spreads retries)
        self._away_in_a_row = 0
        self._not_before = 0.0
        self._trim_at = 0.0
        self._loop = Loop("outbox", self._next, retry_seconds=RETRY_SECONDS, rest_seconds=_REST_SECONDS)
        self.dropped = 0
        self.parked = 0

    def start(self) -> None:
        self._loop.start()

    def stop(self) -> None:
        """End the thread after the request that it is in, and wait for it."""
        self._loop.stop()

    def wake(self) -> None:
        """There is something to tell. Takes no lock that is held over I/O."""
        self._loop.wake()

    def turn(self) -> Round:
        """Deliver one batch of what is due.

        Raises DatabaseUnavailable; what arrived before that may arrive again.
        """
        with self._database.system() as tx:
            items = outbox.claim(tx, LEASE, most=self._batch)
        if not items:
            return Round()
        # Another order each time: neighbours that fail together must not hide from the others for ever.
        self._chance.shuffle(items)
        end = time.monotonic() + ROUND_SECONDS
        found = deliver(items, self._send, lambda: not self._loop.stopping and time.monotonic() < end)
        pause_seconds = self._pause(found)
        # Each on its own: together they would not lock rows in the order in which votes lock them.
        with self._database.system() as tx:
            outbox.delivered(tx, found.arrived)
        with self._database.system() as tx:
            outbox.put_off(tx, self._put_off(found, pause_seconds))
        self._report(found)
        return found

    def trim(self) -> int:
        """Drop the oldest rows beyond ``capacity``; says how many. Raises DatabaseUnavailable."""
        with self._database.system() as tx:
            dropped = outbox.trim(tx, keep=self._capacity, most=_TRIMMED_AT_ONCE)
        if dropped:
            self.dropped += dropped
            log.warning("outbox.dropped", items=dropped, detail="more wait for SomaBrain than are kept")
        return dropped

    def _next(self) -> float:
        now = time.monotonic()
        if now >= self._trim_at:
            more = self.trim() == _TRIMMED_AT_ONCE
            self._trim_at = now + (0.0 if more else TRIM_SECONDS)
        # Votes wake it also while SomaBrain is away, and must not knock for it.
        if now < self._not_before:
            return min(self._not_before - now, self._poll_seconds)
        found = self.turn()
        if found.away is not None:
            return min(self._not_before - time.monotonic(), self._poll_seconds)
        return 0.0 if len(found.arrived) >= self._batch else self._poll_seconds

    def _send(self, items: Sequence[Claimed]) -> Mapping[str, Rejection]:
        return self._somabrain.remember(items[0].tenant_id, {each.key: each.payload for each in items})

    def _pause(self, found: Round) -> float:
        """Seconds until SomaBrain is asked again: what it asks for, else longer each time, with jitter."""
        if found.away is None:
            if found.arrived and self._away_in_a_row:
                self._away_in_a_row = 0
                log.warning("somabrain.back")
            return 0.0
        ceiling = min(self._away_seconds * 2.0 ** min(self._away_in_a_row, 10), _AWAY_CAP_SECONDS)
        pause_seconds = ceiling * self._chance.uniform(0.5, 1.0)
        if found.away.retry_after_seconds is not None:
            pause_seconds = max(pause_seconds, found.away.retry_after_seconds)
        self._not_before = time.monotonic() + pause_seconds
        self._away_in_a_row += 1
        log.warning("somabrain.away", detail=found.away.detail, retry_seconds=round(pause_seconds, 1))
        return pause_seconds

    def _put_off(self, found: Round, pause_seconds: float) -> list[PutOff]:
        detail = found.away.detail if found.away else ""
        return [
            *(PutOff(item=each, error=detail, wait_seconds=pause_seconds) for each in found.left),
            *(PutOff(item=each, error=why, failed=True, parked=True) for each, why in found.bad),
            *(
                PutOff(
                    item=each,
                    error=why,
                    wait_seconds=self._backoff(each.attempts),
                    failed=True,
                    parked=each.attempts + 1 >= TRIES,
                )
                for each, why in found.failed
            ),
        ]

    def _backoff(self, attempts: int) -> float:
        ceiling = min(2.0 ** (attempts + 1), _ITEM_BACKOFF_CAP_SECONDS)
        return ceiling * self._chance.uniform(0.5, 1.0)

    def _report(self, found: Round) -> None:
        parked = [*found.bad, *((each, why) for each, why in found.failed if each.attempts + 1 >= TRIES)]
        self.parked += len(parked)
        for each, why in parked:
            log.warning("outbox.parked", tenant_id=str(each.tenant_id), key=each.key, detail=why)
