"""The table ``usage_days``: calls added up by day, and a report that is exact although they lag behind.

What is added up is versions of rows, as in ``evidence``, by windows of transaction ids that have ended. A
report adds to the days what was born since, and takes from them what died since: so it tells of every call
that was committed before it, however long ago the last turn was.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from imrs_server.domain.usage import Key, Usage
from imrs_server.storage import sql
from imrs_server.storage.shape import shape

if TYPE_CHECKING:
    from collections.abc import Sequence
    from uuid import UUID

    from imrs_server.domain.usage import Span
    from imrs_server.storage.database import Tx
    from imrs_server.storage.sql import Row

Q = sql.load(__file__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """Transaction ids from ``start`` to before ``end``, all of which have ended.

    ``from_scratch``: nothing was added up yet in this database, or in what it was restored from.
    """

    start: str
    end: str
    from_scratch: bool = False


def lead(tx: Tx) -> bool:
    """Whether this transaction is the one in the database that may add up; holds until it ends."""
    return bool(Q.lead.value(tx))


def window(tx: Tx) -> Window:
    """What was committed since the last turn."""
    found = Q.window.one(tx, lambda row: Window(**row))
    assert found is not None
    return found


def restart(tx: Tx) -> None:
    """Forget all sums, and let the rows of a restored database be older than all that this one writes.

    What follows in this transaction may take as long as it takes.
    """
    Q.take_time.run(tx)
    Q.renumber.run(tx)
    Q.clear.run(tx)


def count(tx: Tx, window: Window) -> int:
    """Add what was born in the window and take back what died in it; how many sums moved."""
    moved = Q.count.run(tx, start=window.start, end=window.end)
    return moved + Q.forget.run(tx, end=window.end)


def advance(tx: Tx, until: Window) -> None:
    """Note that everything before the end of the window is added up."""
    Q.advance.run(tx, xid=until.end)


def report(
    tx: Tx, tenant_id: UUID | None, span: Span, group_by: Sequence[Key], limit: int
) -> list[tuple[bool, Usage]]:
    """The total, marked True, and after it at most ``limit`` groups; nothing where there was no call.

    Of one tenant, or of all of them together.
    """
    # Else a hundred thousand cells with their histograms are sorted on disk, which takes five times as long.
    Q.take_memory.run(tx)
    return Q.report.all(
        tx,
        lambda row: (row["is_total"], _usage(row, group_by)),
        tenant_id=tenant_id,
        start_time=span.start_time,
        end_time=span.end_time,
        days_start=span.days_start,
        days_end=span.days_end,
        first_day=span.first_day,
        last_day=span.last_day,
        from_xid=window(tx).start,
        group_by=[key.value for key in group_by],
        limit=limit + 1,  # and the total
    )


def _usage(row: Row, group_by: Sequence[Key]) -> Usage:
    sums: dict[str, Any] = {name: value for name, value in row.items() if name not in _KEYS}
    group = {} if row["is_total"] else {key: str(row[key.value]) for key in group_by}
    return shape(Usage)({**sums, "group": group})


_KEYS = frozenset(key.value for key in Key)
