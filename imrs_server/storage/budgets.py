"""The tables ``budgets`` and ``budget_reservations``: what may be spent, and what is set aside for calls."""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING
from uuid import UUID

from imrs_server.domain.budget import Budget, Level
from imrs_server.storage import sql
from imrs_server.storage.changes import Change, Kind
from imrs_server.storage.listing import Listing
from imrs_server.storage.shape import shape

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from datetime import datetime, timedelta

    from imrs_server.domain.budget import Estimate, Spend, Wanted
    from imrs_server.domain.listing import Page, PageRequest
    from imrs_server.storage.database import Tx
    from imrs_server.storage.sql import Row

Q = sql.load(__file__)

_LISTING = Listing(
    key="budget_id",
    orders={
        "agent_id": ("agent_id", "text"),
        "reset_time": ("reset_time", "timestamptz"),
        "budget_id": ("budget_id", "text"),
    },
    hidden=frozenset({"budget_id"}),
)


@dataclass(frozen=True, slots=True)
class Moved:
    """A budget after a statement; ``ended`` where a window had ended and the next one has begun."""

    tenant_id: UUID
    agent_id: str
    old_level: Level
    level: Level
    ended: bool

    @property
    def is_news(self) -> bool:
        """Whether Route is to hear of it."""
        return self.level is not self.old_level or (self.ended and self.level is not Level.WITHIN)


@dataclass(frozen=True, slots=True)
class Judged:
    """A budget as the call finds it, and whether the call may not be made."""

    budget: Budget
    refuses: bool
    moved: Moved


def reserve(
    tx: Tx,
    tenant_id: UUID,
    agent_id: str,
    reservation_id: UUID,
    wanted: Estimate,
    *,
    seconds: float,
    ended: Mapping[UUID, Spend] = MappingProxyType({}),
) -> list[Judged]:
    """Set aside what a call may come to in every budget of the agent and of its tenant, or in none of them.

    What has expired is given back; of the reservations of ``ended`` calls so much stays as they came to, for
    they are charged later. Windows that have ended are followed by the next. A reservation expires after
    ``seconds``.
    """
    return Q.reserve.all(
        tx,
        _judged,
        tenant_id=tenant_id,
        agent_id=agent_id,
        reservation_id=reservation_id,
        usd=wanted.usd,
        tokens=wanted.tokens,
        seconds=seconds,
        ended_ids=list(ended),
        ended_usd=[each.usd for each in ended.values()],
        ended_tokens=[each.tokens for each in ended.values()],
    )


def charge(
    tx: Tx,
    tenant_id: UUID,
    agent_id: str,
    spend: Spend,
    *,
    reservation_id: UUID | None = None,
    create_time: datetime | None = None,
) -> list[Moved]:
    """Count what a call of ``create_time``, None for now, came to, in place of what was set aside for it."""
    return Q.charge.all(
        tx,
        _moved,
        tenant_id=tenant_id,
        agent_id=agent_id,
        reservation_id=reservation_id,
        usd=spend.usd,
        tokens=spend.tokens,
        unpriced_calls=spend.unpriced_calls,
        create_time=create_time,
    )


def lead(tx: Tx) -> bool:
    """Whether this transaction is the one in the database that may renew; holds until it ends."""
    return bool(Q.lead.value(tx))


def renew(tx: Tx, *, most: int) -> list[Moved]:
    """Begin the next window of budgets that Route knows to be short, and give back what has expired."""
    return Q.renew.all(tx, _moved, most=most)


def news(moved: Iterable[Moved]) -> list[Change]:
    """What to announce."""
    found = {(each.tenant_id, each.agent_id): None for each in moved if each.is_news}
    return [Change(Kind.BUDGET, agent_id, tenant_id) for tenant_id, agent_id in found]


def of(tx: Tx, tenant_id: UUID, agent_id: str) -> list[Budget]:
    """Those that calls of an agent count on, as their last call left them."""
    return Q.of.all(tx, shape(Budget), tenant_id=tenant_id, agent_id=agent_id)


def lock_tenant(tx: Tx, tenant_id: UUID) -> None:
    """Let nobody else set a budget of this tenant until the transaction ends."""
    Q.lock_tenant.run(tx, tenant_id=str(tenant_id))


def lock(tx: Tx, tenant_id: UUID, budget_id: str) -> Budget | None:
    """The row, held until the transaction ends."""
    return Q.lock.one(tx, shape(Budget), tenant_id=tenant_id, budget_id=budget_id)


def same(tx: Tx, tenant_id: UUID, agent_id: str, window: timedelta) -> Budget | None:
    """The one budget of an agent, or of the tenant, with this window."""
    return Q.same.one(tx, shape(Budget), tenant_id=tenant_id, agent_id=agent_id, window=window)


def lock_same(tx: Tx, tenant_id: UUID, agent_id: str, window: timedelta) -> Budget | None:
    """The same, held until the transaction ends."""
    return Q.lock_same.one(tx, shape(Budget), tenant_id=tenant_id, agent_id=agent_id, window=window)


def put(tx: Tx, tenant_id: UUID, budget_id: str, wanted: Wanted) -> Budget:
    """Store it, in place of what had this id; another window begins with nothing spent."""
    found = Q.put.one(
        tx,
        shape(Budget),
        tenant_id=tenant_id,
        budget_id=budget_id,
        agent_id=wanted.agent_id,
        limit_usd=wanted.limit_usd,
        limit_tokens=wanted.limit_tokens,
        window=wanted.window,
    )
    assert found is not None
    return found


def delete(tx: Tx, tenant_id: UUID, budget_id: str) -> None:
    """Delete it, and what is set aside in it."""
    Q.delete.run(tx, tenant_id=tenant_id, budget_id=budget_id)


def list_page(tx: Tx, request: PageRequest, tenant_id: UUID | None, agent_id: str) -> Page[Budget]:
    """Budgets of one tenant or, where that is None, of all; an empty agent_id is no filter."""
    return _LISTING.page(tx, Q.list, shape(Budget), request, tenant_id=tenant_id, agent_id=agent_id)


def _judged(row: Row) -> Judged:
    return Judged(shape(Budget)(row), row["refuses"], _moved(row))


def _moved(row: Row) -> Moved:
    return Moved(
        row["tenant_id"], row["agent_id"], Level(row["old_level"]), Level(row["level"]), row["ended"]
    )
