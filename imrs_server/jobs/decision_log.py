"""The decision log: Route hands decisions over and goes on; a thread writes them a few times a second."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, TypeVar

import structlog

from imrs_server.domain.decision import Decision, DecisionRecord, record
from imrs_server.domain.errors import DatabaseUnavailable
from imrs_server.storage import decisions, partitions
from imrs_server.storage.partitions import Table

if TYPE_CHECKING:
    from imrs_server.storage.database import Database, Tx

T = TypeVar("T", Decision, DecisionRecord)

log = structlog.get_logger()

CAPACITY = 10_000
PERIOD_SECONDS = 0.2
# So many are written without waiting for more.
MANY = 2_000
_BATCH = 5_000


Observe = Callable[["Sequence[Decision]"], None]


class DecisionLog:
    """Bounded: while the database is away, decisions beyond ``capacity`` are dropped and counted.

    ``observers`` are told of each that was taken, once and soon after, by the thread and not by Route.
    """

    def __init__(
        self,
        database: Database,
        *,
        capacity: int = CAPACITY,
        period_seconds: float = PERIOD_SECONDS,
        observers: Sequence[Observe] = (),
    ) -> None:
        self._database = database
        self._capacity = capacity
        self._period_seconds = period_seconds
        self._observers = observers
        self._waiting: deque[Decision] = deque()
        self._observed = 0
        """So many of those that wait, the oldest, were told of."""
        self._writing = threading.Lock()
        self._due = threading.Event()
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name="decision-log", daemon=True)
        self.dropped = 0
        """Decisions never stored: the buffer was full, or the database refused them, or was away at last."""

    @property
    def waiting(self) -> int:
        """How many are not stored yet."""
        return len(self._waiting)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """End the thread, and write what is left; what cannot be, or comes later, counts as dropped."""
        self._stopping = True
        self._capacity = 0
        self._due.set()
        self._thread.join()
        if not self.flush():
            with self._writing:
                lost = len(self._waiting)
                self._waiting.clear()
                self.dropped += lost
            log.error("decisions.lost", decisions=lost, detail="the database does not answer at the end")

    def offer(self, decision: Decision) -> None:
        """Take a decision; never waits. Counting drops is exact but for races between threads."""
        waiting = len(self._waiting)
        if waiting >= self._capacity:
            self.dropped += 1
            return
        self._waiting.append(decision)
        if waiting == MANY:
            self._due.set()

    def flush(self) -> bool:
        """Write what was offered before the call; says whether all of it is settled."""
        with self._writing:
            # What comes meanwhile is for the next time: few by few, each would have its own transaction.
            left = len(self._waiting)
            while left:
                batch = [self._waiting.popleft() for _ in range(min(left, _BATCH))]
                left -= len(batch)
                self._observe(batch[self._observed :])
                known = max(self._observed, len(batch))
                if not self._settle(batch):
                    # Meanwhile others came: Route goes on without the database, and so do figures.
                    came = list(self._waiting)[known:]
                    self._observe(came)
                    self._observed = known + len(came)
                    return False
                self._observed = known - len(batch)
        return True

    def _observe(self, decisions: Sequence[Decision]) -> None:
        if not decisions:
            return
        for each in self._observers:
            try:
                each(decisions)
            except Exception:  # who looks on must not keep anything from being stored
                log.exception("decisions.unobserved")

    def _run(self) -> None:
        while not self._stopping:
            self._due.wait(self._period_seconds)
            self._due.clear()
            self.flush()

    def _settle(self, batch: list[Decision]) -> bool:
        try:
            self._write(batch)
        except DatabaseUnavailable:
            log.warning("decisions.delayed", waiting=len(self._waiting) + len(batch))
            # The oldest are kept: feedback on them is due next.
            self._waiting.extendleft(reversed(batch))
            return False
        return True

    def _write(self, batch: Sequence[Decision]) -> None:
        """By COPY; where that fails, without those that are there already or that the database refuses."""
        try:
            self._store(decisions.copy, batch)
        except DatabaseUnavailable:
            raise
        except Exception:  # noqa: BLE001  (storage has no word for rows that it refuses)
            self._write_carefully([record(each) for each in batch])

    def _write_carefully(self, records: Sequence[DecisionRecord]) -> None:
        try:
            self._store(decisions.insert, records)
        except DatabaseUnavailable:
            raise
        except Exception:
            if len(records) > 1:
                middle = len(records) // 2
                self._write_carefully(records[:middle])
                self._write_carefully(records[middle:])
                return
            self.dropped += 1
            log.exception("decision.refused", decision_id=str(records[0].decision_id))

    def _store(self, write: Callable[[Tx, Sequence[T]], None], batch: Sequence[T]) -> None:
        try:
            with self._database.system() as tx:
                write(tx, batch)
        except Exception as error:
            if not partitions.is_missing(error):
                raise
            months = {(each.create_time.year, each.create_time.month): each.create_time for each in batch}
            for time in months.values():
                with self._database.system() as tx:
                    partitions.ensure_month(tx, Table.DECISIONS, time)
            with self._database.system() as tx:
                write(tx, batch)
