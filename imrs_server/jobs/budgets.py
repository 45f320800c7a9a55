"""Begins the next window of budgets that are short, and gives back what calls held that nobody ended."""

from __future__ import annotations

from typing import TYPE_CHECKING

from imrs_server.jobs.loop import Loop
from imrs_server.storage import budgets, changes

if TYPE_CHECKING:
    from imrs_server.storage.database import Database

PERIOD_SECONDS = 1.0
RETRY_SECONDS = 5.0
_MOST = 1000


class BudgetWindows:
    """A thread that looks every second. In the whole database one does it at a time.

    A call does the same for the budgets that it counts on, and needs nobody for it: this is for Route, which
    asks no database, and goes by what was announced.
    """

    def __init__(self, database: Database, *, period_seconds: float = PERIOD_SECONDS) -> None:
        self._database = database
        self._period_seconds = period_seconds
        self._loop = Loop("budgets", self._next, retry_seconds=RETRY_SECONDS)

    def start(self) -> None:
        self._loop.start()

    def stop(self) -> None:
        """End the thread and wait for it."""
        self._loop.stop()

    def turn(self) -> int:
        """Renew what is due; says how many budgets. Raises DatabaseUnavailable."""
        with self._database.system() as tx:
            if not budgets.lead(tx):
                return 0
            moved = budgets.renew(tx, most=_MOST)
            news = budgets.news(moved)
            if news:
                changes.announce(tx, *news)
        return len(moved)

    def _next(self) -> float:
        return 0.0 if self.turn() >= _MOST else self._period_seconds
