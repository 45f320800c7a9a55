"""The table ``evidence``: sums over votes, recomputed from them for whatever changed.

A vote is read once the transaction that wrote it, and every one before it, has ended: votes carry their
transaction's id, and a turn reads those from where the turn before stopped up to the oldest transaction that
still runs. Neither times nor sequence numbers would do, because neither follows commits.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from imrs_server.storage import sql
from imrs_server.storage.changes import Change, Kind

if TYPE_CHECKING:
    from imrs_server.storage.database import Tx

Q = sql.load(__file__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """Transaction ids from ``start`` to before ``end``; ``more`` says that votes wait behind the end."""

    start: str
    end: str
    more: bool

    @property
    def from_scratch(self) -> bool:
        """Whether nothing was counted yet in this database, or in what it was restored from."""
        return self.start == "0"


def lead(tx: Tx) -> bool:
    """Whether this transaction is the one in the database that may count; holds until it ends."""
    return bool(Q.lead.value(tx))


def window(tx: Tx) -> Window:
    """What has been committed since the last turn."""
    found = Q.window.one(tx, lambda row: Window(start=row["start"], end=row["end"], more=row["more"]))
    assert found is not None
    return found


def clear(tx: Tx) -> None:
    """Forget everything that was counted."""
    Q.clear.run(tx)


def recompute(tx: Tx, since: Window) -> list[Change]:
    """Count anew every cell (tenant, agent, task, model), and its pooled cell of the tenant, that has votes
    in the window; returns the agents concerned as lines of the change feed.

    ``raw_n`` and ``raw_s`` count each message once, by the vote that speaks for it. The other sums count
    every vote, each in the one column of its kind: a signal's own where it has one.
    """
    return Q.recompute.all(
        tx,
        lambda row: Change(Kind.EVIDENCE, row["agent_id"], row["tenant_id"]),
        start=since.start,
        end=since.end,
    )


def advance(tx: Tx, until: Window) -> None:
    """Note that everything before the end of the window is counted."""
    Q.advance.run(tx, xid=until.end)
