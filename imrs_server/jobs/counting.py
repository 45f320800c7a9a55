"""One turn of counting, and counting everything anew; each inside a transaction that leads."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from imrs_server.storage import changes, evidence
from imrs_server.storage.changes import Change, Kind

if TYPE_CHECKING:
    from imrs_server.storage.database import Tx
    from imrs_server.storage.evidence import Window

# Where the cursor stands is not worth a write each second while nothing comes.
_IDLE_TRANSACTIONS = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Drift:
    """How many cells there are, and how many of them were not what the rows say."""

    cells: int
    wrong: int


def take_turn(tx: Tx) -> Window:
    """Count what was committed since the turn before, and announce whose evidence moved.

    Tenants whose half-life is another one now are counted from their first row, and so is everybody in a
    database that was restored.
    """
    window = evidence.window(tx)
    if window.from_scratch:
        _restart(tx, window)
        return window
    lives = evidence.half_lives(tx)
    moved = set()
    outdated = evidence.outdated(tx, lives)
    if outdated:
        evidence.take_time(tx)
        moved.update(evidence.clear(tx, outdated))
        moved.update(evidence.count(tx, window.whole, lives, only=outdated))
    if evidence.due(tx, window):
        moved.update(evidence.count(tx, window, lives, but=outdated))
    if moved or window.width > _IDLE_TRANSACTIONS:
        evidence.forget(tx, window)
        evidence.advance(tx, window)
    if moved:
        changes.announce(tx, *sorted(moved, key=lambda each: (str(each.tenant_id), each.key)))
    return window


def rebuild(tx: Tx) -> Drift:
    """Count everything anew, from the rows that are kept, and say how far the evidence had drifted from them.

    Counts what is due first, so that the two are of the same rows.
    """
    window = take_turn(tx)
    evidence.set_aside(tx)
    _restart(tx, window)
    return Drift(cells=evidence.cells(tx), wrong=evidence.drifted(tx))


def _restart(tx: Tx, window: Window) -> None:
    evidence.take_time(tx)
    if window.from_scratch:
        evidence.renumber(tx)
    evidence.clear(tx)
    evidence.count(tx, window.whole, evidence.half_lives(tx))
    evidence.forget(tx, window)
    evidence.advance(tx, window)
    changes.announce(tx, Change(Kind.EVIDENCE))
