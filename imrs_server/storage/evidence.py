"""The table ``evidence``: decayed sums, to which each turn adds what came and from which it takes what went.

What counts is versions of rows. A version is born in the transaction that wrote it, and dies in the one that
changed or deleted the row; triggers keep the dead ones until they are counted. A turn reads a window of
transaction ids, all of which have ended: it adds what was born in it and subtracts what died in it. Neither
times nor sequence numbers would do, because neither follows commits.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, Any, cast
from uuid import UUID

from imrs_server.domain.chat import FAULTS_OF_CALLERS
from imrs_server.domain.evidence import MAX_TASK_TYPES, OTHER_TASKS
from imrs_server.domain.routing import DEFAULT_POLICY, RoutingPolicy, merge
from imrs_server.storage import sql
from imrs_server.storage.changes import Change, Kind
from imrs_server.storage.shape import shape

if TYPE_CHECKING:
    from collections.abc import Collection

    from imrs_server.storage.database import Tx
    from imrs_server.storage.sql import Row

Q = sql.load(__file__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """Transaction ids from ``start`` to before ``end``; ``more`` says that votes wait behind the end.

    ``from_scratch``: nothing was counted yet in this database, or in what it was restored from.
    """

    start: str
    end: str
    more: bool = False
    from_scratch: bool = False

    @property
    def width(self) -> int:
        """How many transactions it spans."""
        return int(self.end) - int(self.start)

    @property
    def whole(self) -> Window:
        """All there ever was, up to the same end."""
        return Window(start="0", end=self.end)


@dataclass(frozen=True, slots=True)
class HalfLives:
    """How fast evidence is to decay, in seconds, 0 for not at all: tenants' own, and everybody else's."""

    default_seconds: float = 0.0
    own_seconds: Mapping[UUID, float] = field(default_factory=dict)

    def parameters(self) -> dict[str, Any]:
        return {
            "tenant_ids": list(self.own_seconds),
            "half_lives": list(self.own_seconds.values()),
            "half_life": self.default_seconds,
        }


def lead(tx: Tx) -> bool:
    """Whether this transaction is the one in the database that may count; holds until it ends."""
    return bool(Q.lead.value(tx))


def lead_at_last(tx: Tx) -> None:
    """Wait until this transaction is the one that may count."""
    Q.lead_at_last.run(tx)


def window(tx: Tx) -> Window:
    """What has been committed since the last turn."""
    found = Q.window.one(tx, lambda row: Window(**row))
    assert found is not None
    return found


def due(tx: Tx, window: Window) -> bool:
    """Whether anything in the window may count; asked first, for counting nothing takes longer."""
    return bool(Q.due.value(tx, start=window.start, end=window.end))


def advance(tx: Tx, until: Window) -> None:
    """Note that everything before the end of the window is counted."""
    Q.advance.run(tx, xid=until.end)


def renumber(tx: Tx) -> None:
    """Let rows restored from a server that had got further be older than all that this one writes.

    Else they would be counted once more when this server's transaction ids reach theirs.
    """
    Q.renumber.run(tx)


def take_time(tx: Tx) -> None:
    """Let what follows in this transaction take as long as it takes: it may read every row."""
    Q.take_time.run(tx)


def half_lives(tx: Tx) -> HalfLives:
    """The half-lives that are configured now."""
    found: dict[UUID | None, RoutingPolicy] = dict(Q.half_lives.all(tx, _policy))
    everybody = merge(DEFAULT_POLICY, found.pop(None, RoutingPolicy())).half_life
    return HalfLives(
        (everybody or timedelta()).total_seconds(),
        {
            cast("UUID", tenant_id): policy.half_life.total_seconds()
            for tenant_id, policy in found.items()
            if policy.half_life is not None
        },
    )


def outdated(tx: Tx, lives: HalfLives) -> list[UUID]:
    """Tenants whose evidence was counted with another half-life."""
    return Q.outdated.all(tx, lambda row: cast("UUID", row["tenant_id"]), **lives.parameters())


def clear(tx: Tx, tenant_ids: Collection[UUID] | None = None) -> list[Change]:
    """Forget everything that was counted, of some tenants or of all; returns whose it was.

    Which task types have evidence of their own is not forgotten: it follows from what came first, and that
    may not be there any more.
    """
    return Q.clear.all(tx, _place, tenant_ids=None if tenant_ids is None else list(tenant_ids))


def count(
    tx: Tx,
    window: Window,
    lives: HalfLives,
    *,
    only: Collection[UUID] | None = None,
    but: Collection[UUID] = (),
) -> list[Change]:
    """Count a window into every cell (tenant, agent, task, model) and its pooled cell of the tenant; of some
    tenants only, or of all but some. Returns the agents and tasks concerned as lines of the change feed.

    A sum at time T is made of its parts at times t by 2^-((T - t) / half-life); parts are added in any order
    and any number of turns (Cormode and others, Forward decay, 2009). ``raw_n`` and ``raw_s`` do not decay,
    and count each message once, by the vote that speaks for it. The other sums count every vote that counts,
    each in the columns of its kind: a signal's own where it has some. A call that failed by a fault of its
    caller is a call of the model and no error of it.
    """
    return Q.count.all(
        tx,
        _place,
        start=window.start,
        end=window.end,
        only=None if only is None else list(only),
        but=list(but),
        max_task_types=MAX_TASK_TYPES,
        other=OTHER_TASKS,
        faults_of_callers=sorted(FAULTS_OF_CALLERS),
        **lives.parameters(),
    )


def forget(tx: Tx, until: Window) -> None:
    """Delete dead versions that a window has counted."""
    Q.forget.run(tx, end=until.end)


def set_aside(tx: Tx) -> None:
    """Keep the evidence as it is, to be compared with, until the transaction ends."""
    Q.set_aside.run(tx)


def cells(tx: Tx) -> int:
    """How many there are, pooled ones included."""
    return cast("int", Q.cells.value(tx))


def drifted(tx: Tx) -> int:
    """How many cells differ from what was set aside, in any sum by more than a billionth of it, or of 1."""
    return cast("int", Q.drifted.value(tx))


def _policy(row: Row) -> tuple[UUID | None, RoutingPolicy]:
    return row["tenant_id"], shape(RoutingPolicy)(row["routing"])


def _place(row: Row) -> Change:
    return Change(Kind.EVIDENCE, f"{row['agent_id']}/{row['task_type']}", row["tenant_id"])
