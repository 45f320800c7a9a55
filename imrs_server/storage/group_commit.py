"""Group commit: what many callers write at once goes into one transaction, and each is answered after COMMIT.

A commit waits for the disk, however much is in it. So there is no timer: a transaction takes what was handed
in while the one before it ran. Alone, a caller gets a transaction at once; in a crowd, hundreds share one.
"""

from __future__ import annotations

import threading
from collections import deque
from itertools import islice
from typing import TYPE_CHECKING, Generic, TypeVar

import structlog

from imrs_server.domain.errors import DatabaseUnavailable, Overloaded
from imrs_server.storage import partitions

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterator, Sequence

    from imrs_server.storage.database import Database, Tx

log = structlog.get_logger()

I = TypeVar("I")  # noqa: E741  (an item, as A is its answer)
A = TypeVar("A")
T = TypeVar("T")

CAPACITY = 10_000
MOST = 500
CONNECT_SECONDS = 1.0
"""How long a transaction may wait for a connection: half of the shortest deadline of a caller."""

_AGAIN_SECONDS = 0.005


class Ticket(Generic[A]):
    """A place in the queue, to wait at for the answer."""

    __slots__ = ("_done", "_outcome", "abandoned")

    def __init__(self) -> None:
        # A bare lock that is held until there is an outcome: a tenth of the price of a Future.
        self._done = threading.Lock()
        self._done.acquire()
        self._outcome: A | Exception | None = None
        self.abandoned = False

    def settle(self, outcome: A | Exception) -> None:
        self._outcome = outcome
        self._done.release()

    def wait(self, seconds: float) -> A | Exception:
        """The answer, or what it failed for. DatabaseUnavailable when it took longer: then nobody knows
        whether the item was written, and whoever cares hands it in again under the same key.
        """
        if not self._done.acquire(timeout=seconds):
            self.abandoned = True
            return DatabaseUnavailable()
        outcome = self._outcome
        assert outcome is not None
        return outcome


class _Queued(Generic[I, A]):
    __slots__ = ("claims", "item", "ticket")

    def __init__(self, item: I, claims: frozenset[Hashable]) -> None:
        self.item, self.claims = item, claims
        self.ticket: Ticket[A] = Ticket()


class GroupCommit(Generic[I, A]):
    """One queue and one thread that writes it, as ``imrs_system``, for all tenants in one transaction.

    ``write`` gets the transaction and at most ``most`` items, and returns for each, in order, its answer, an
    error that is this item's alone, or None for "not now": somebody else has locked what it needs, and it
    comes again with the next. ``claims`` names what an item must have for itself: two items with a claim in
    common never meet in one transaction, and are written in the order in which they came.
    """

    def __init__(
        self,
        database: Database,
        write: Callable[[Tx, Sequence[I]], Sequence[A | Exception | None]],
        claims: Callable[[I], frozenset[Hashable]],
        *,
        name: str,
        most: int = MOST,
        capacity: int = CAPACITY,
    ) -> None:
        self._database = database
        self._write = write
        self._claims = claims
        self._most = most
        self._capacity = capacity
        self._waiting: deque[_Queued[I, A]] = deque()
        self._changed = threading.Condition()
        self._stopped = False
        self._thread: threading.Thread | None = None
        self._name = name
        self.commits = 0
        """Transactions that were committed."""
        self.committed = 0
        """What was written in them, for better or worse of each."""

    @property
    def waiting(self) -> int:
        """How many items are queued."""
        return len(self._waiting)

    def start(self) -> None:
        """Start the thread; handing something in does it too."""
        with self._changed:
            self._start()

    def stop(self) -> None:
        """Take nothing more, write what is queued, and end the thread."""
        with self._changed:
            self._stopped = True
            self._changed.notify()
            thread = self._thread
        if thread is not None:
            thread.join()

    def hand_in(self, items: Sequence[I]) -> list[Ticket[A]]:
        """Queue items together; where there is no room, the last of them are answered with Overloaded."""
        queued: list[_Queued[I, A]] = [_Queued(each, self._claims(each)) for each in items]
        with self._changed:
            self._start()
            room = 0 if self._stopped else max(0, self._capacity - len(self._waiting))
            self._waiting.extend(queued[:room])
            self._changed.notify()
        for each in queued[room:]:
            each.ticket.settle(Overloaded())
        return [each.ticket for each in queued]

    def _start(self) -> None:
        if self._thread is None and not self._stopped:
            thread = threading.Thread(target=self._run, name=self._name, daemon=True)
            thread.start()
            # Only now: nobody would write what is handed in for one that could not be started.
            self._thread = thread

    def _run(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._waiting or self._stopped)
                if not self._waiting:
                    return
                batch = self._take()
            if batch and not self._settle(batch):
                # Everything that is left is locked by others, who are about to commit.
                with self._changed:
                    self._changed.wait(_AGAIN_SECONDS)

    def _take(self) -> list[_Queued[I, A]]:
        """The oldest, without those nobody waits for any more, and those whose claims an older one has."""
        batch: list[_Queued[I, A]] = []
        held_back: list[_Queued[I, A]] = []
        claimed: set[Hashable] = set()
        for each in islice(_popping(self._waiting), 2 * self._most):
            if each.ticket.abandoned:
                continue
            (batch if claimed.isdisjoint(each.claims) else held_back).append(each)
            claimed |= each.claims
            if len(batch) == self._most:
                break
        self._waiting.extendleft(reversed(held_back))
        return batch

    def _settle(self, batch: Sequence[_Queued[I, A]]) -> bool:
        """Write a batch and answer it; says whether that was possible for any of it."""
        try:
            outcomes = partitions.healing(self._database, lambda: self._commit(batch))
        except DatabaseUnavailable:
            self._give_up(batch)
            return True
        except Exception as error:  # noqa: BLE001  (storage has no word for rows that it refuses)
            if len(batch) == 1:
                batch[0].ticket.settle(error)
                return True
            # Somewhere in there is one bad item: it shall fail alone.
            middle = len(batch) // 2
            halves = [self._settle(batch[:middle]), self._settle(batch[middle:])]
            return any(halves)
        later = []
        for each, outcome in zip(batch, outcomes, strict=True):
            if outcome is None:
                later.append(each)
            else:
                each.ticket.settle(outcome)
        if later:
            with self._changed:
                self._waiting.extendleft(reversed(later))
        return len(later) < len(batch)

    def _commit(self, batch: Sequence[_Queued[I, A]]) -> Sequence[A | Exception | None]:
        with self._database.system(timeout_seconds=CONNECT_SECONDS) as tx:
            outcomes = self._write(tx, [each.item for each in batch])
        self.commits += 1
        self.committed += len(outcomes) - sum(each is None for each in outcomes)
        return outcomes

    def _give_up(self, batch: Sequence[_Queued[I, A]]) -> None:
        """Answer all that wait: each would only wait as long for the same news."""
        with self._changed:
            failed = [*batch, *self._waiting]
            self._waiting.clear()
        log.warning("group_commit.failed", queue=self._name, items=len(failed))
        for each in failed:
            each.ticket.settle(DatabaseUnavailable())


def _popping(waiting: deque[T]) -> Iterator[T]:
    while waiting:
        yield waiting.popleft()
