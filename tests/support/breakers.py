"""The time of breakers, which tests have pass, or stand still."""

from __future__ import annotations

from typing import TYPE_CHECKING

from imrs_server.jobs.breakers import move_on
from imrs_server.storage import breakers, changes
from imrs_server.storage.changes import Change, Kind
from tests.support.waiting import eventually

if TYPE_CHECKING:
    from imrs_server.wiring import App

HOUR_SECONDS = 3600.0
_DUE = "update breakers set due_time = clock_timestamp() + make_interval(secs => %s)"


def due_in(app: App, seconds: float) -> int:
    """Have all that are not closed move on in so many seconds; the revision from which on servers know."""
    with app.database.transaction() as tx:
        breakers.hold(tx)
        tx.execute(_DUE, [seconds])
        return changes.announce(tx, Change(Kind.COOLDOWN))


def step(app: App) -> int:
    """Have the time of their next step come, and no time pass after it; the revision of that."""
    with app.database.transaction() as tx:
        # Servers cannot take a step of their own meanwhile.
        breakers.hold(tx)
        tx.execute(_DUE, [0.0])
        move_on(tx)
        tx.execute(_DUE, [HOUR_SECONDS])
        return changes.announce(tx, Change(Kind.COOLDOWN))


def await_told(app: App) -> None:
    """Wait until the server has told the others what it saw fail, if it did."""
    eventually(lambda: all(own.revision is not None for own in tuple(app.breakers._own.values())))
