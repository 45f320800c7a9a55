"""Keyset pages: a page starts behind the last row of the page before, however the table changes meanwhile."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, LiteralString, TypeVar

from imrs_server.domain.errors import InvalidRequest, Violation
from imrs_server.domain.listing import Page, PageRequest

if TYPE_CHECKING:
    from collections.abc import Callable

    from imrs_server.storage.database import Tx
    from imrs_server.storage.sql import Query, Row

T = TypeVar("T")

MARK = "/* page */"

# A page ends early rather than outgrow the message that clients accept by default, 4 MiB.
_PAGE_BYTES = 2 << 20
# In units of the planner, some 10 ms: what costs more to count is estimated. It takes some 50,000 rows.
_COUNTED_COST = 5000.0


@dataclass(frozen=True, slots=True)
class Listing:
    """What a list may be sorted by: field -> (SQL expression that is never null, its type); first is default.

    ``key`` is an entry of ``orders`` whose values are unique; it breaks ties. Nobody may ask for what is
    ``hidden``. ``nulls`` says what an order's expression makes of a null in the column of that name. A query
    used with it ends in ``where ... /* page */``; where rows are large it also gives their ``weight``, bytes.
    """

    key: str
    orders: Mapping[str, tuple[LiteralString, LiteralString]]
    hidden: frozenset[str] = frozenset()
    nulls: Mapping[str, Any] = field(default_factory=dict)

    def page(
        self, tx: Tx, query: Query, shape: Callable[[Row], T], request: PageRequest, /, **filters: Any
    ) -> Page[T]:
        """One page, and how many rows there are in all: the planner's estimate where counting takes long.

        Raises InvalidRequest for an ``order_by`` that is not in the list.
        """
        name, descending = self._order(request.order_by)
        (sort, sort_type), (key, key_type) = self.orders[name], self.orders[self.key]
        direction: LiteralString = "desc" if descending else "asc"
        compare: LiteralString = "<" if descending else ">"
        behind: LiteralString = (
            f"and ({sort}, {key}) {compare} (%(after_sort)s::{sort_type}, %(after_key)s::{key_type})"
            if request.after
            else ""
        )
        start = dict(zip(("after_sort", "after_key"), request.after or (), strict=False))
        paged = query.text.replace(
            MARK, f"{behind} order by {sort} {direction}, {key} {direction} limit %(limit)s"
        )
        rows = tx.execute(paged, {**filters, **start, "limit": request.size + 1}).fetchall()
        fitting = _fitting(rows[: request.size])
        more = len(rows) > len(fitting)
        rows = fitting
        whole = not more and request.after is None
        return Page(
            items=[shape(row) for row in rows],
            total_size=len(rows) if whole else _total(tx, query, filters, at_least=len(rows)),
            after=(self._sort_value(rows[-1], name), rows[-1][self.key]) if more else None,
        )

    def _sort_value(self, row: Row, name: str) -> Any:
        return self.nulls.get(name) if row[name] is None else row[name]

    def _order(self, order_by: str) -> tuple[str, bool]:
        words = order_by.split()
        name = words[0] if words else next(iter(self.orders))
        allowed = [each for each in self.orders if each not in self.hidden]
        if name not in allowed or words[1:] not in ([], ["asc"], ["desc"]):
            raise InvalidRequest(
                Violation("order_by", f"must be one of {', '.join(allowed)}, optionally followed by `desc`")
            )
        return name, words[1:] == ["desc"]


def _total(tx: Tx, query: Query, filters: Mapping[str, Any], *, at_least: int) -> int:
    explain: LiteralString = f"explain (format json) {query.text}"
    row = tx.execute(explain, filters).fetchone()
    assert row is not None
    plan = row["QUERY PLAN"][0]["Plan"]
    if plan["Total Cost"] > _COUNTED_COST:
        return max(at_least, int(plan["Plan Rows"]))
    count: LiteralString = f"select count(*) as n from ({query.text}) as matching"  # noqa: S608  (from our file)
    counted = tx.execute(count, filters).fetchone()
    assert counted is not None
    return int(counted["n"])


def _fitting(rows: list[Row]) -> list[Row]:
    """The rows that fit on one page by their weight; at least one."""
    weight = 0
    for i, row in enumerate(rows):
        weight += row.get("weight") or 0
        if weight > _PAGE_BYTES and i:
            return rows[:i]
    return rows
