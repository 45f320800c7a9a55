"""Budgets, as a file is about them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from imrs_client.ids import new_id
from imrs_server.domain.budget import Wanted as Limits
from imrs_server.domain.configuration import Thing
from imrs_server.domain.flat import duration_text, unflatten
from imrs_server.storage import budgets, configuration
from imrs_server.storage.changes import Change
from imrs_server.storage.changes import Kind as Changed
from imrs_server.use_cases import known
from imrs_server.use_cases.configuration.kind import domain_fields, ids_of, over, read_fields
from imrs_server.use_cases.configuration.wanted import EVERYBODY, budget_target

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence
    from datetime import timedelta
    from uuid import UUID

    from imrs_server.domain.budget import Budget
    from imrs_server.domain.configuration import Flat, PlannedChange, Wanted
    from imrs_server.storage.database import Tx
    from imrs_server.use_cases.configuration.hand import Hand

_NAMES = frozenset({"limit_usd", "limit_tokens"})


class BudgetKind:
    """Budgets, ``agent_id/window`` or ``*/window``; what was spent of one stays when its limits change."""

    section = "budgets"
    lasting = False
    deletes_first = False
    blank: Flat = {}  # noqa: RUF012  (never changed)

    def __init__(self, tenant_id: UUID | None) -> None:
        self._tenant_id = tenant_id

    def read(
        self, tx: Tx, ids: Collection[str], *, all: bool = False, of: Collection[str] = ()
    ) -> dict[str, Thing]:
        if self._tenant_id is None or not (ids or all):
            return {}
        found = {
            budget_target(each.agent_id, duration_text(each.window)).id: each
            for each in configuration.budgets(tx, self._tenant_id)
        }
        # One without a limit only counts; SetBudget makes such, and no file can.
        return {
            key: Thing(fields=read_fields(each, _NAMES))
            for key, each in found.items()
            if key in ids or (all and _limits(each))
        }

    def hold(self, hand: Hand, changes: Sequence[PlannedChange]) -> None:
        if changes:
            budgets.lock_tenant(hand.tx, hand.tenant_id)
        for key in ids_of(changes):
            budgets.lock_same(hand.tx, hand.tenant_id, *_parts(key))

    def create(self, hand: Hand, id: str, wanted: Wanted) -> None:
        fields = wanted.initial | wanted.fields
        self._put(hand, id, fields, fields)

    def update(
        self, hand: Hand, id: str, fields: Flat, changed: Collection[str], given: Collection[str]
    ) -> None:
        self._put(hand, id, fields, changed)

    def delete(self, hand: Hand, id: str, owned: Flat) -> None:
        agent_id, window = _parts(id)
        before = budgets.lock_same(hand.tx, hand.tenant_id, agent_id, window)
        if before is not None:
            budgets.delete(hand.tx, hand.tenant_id, before.budget_id)
            change = Change(Changed.BUDGET, agent_id, hand.tenant_id)
            hand.wrote(change, ("budget", before.budget_id), before=before)

    def _put(self, hand: Hand, id: str, fields: Flat, changed: Collection[str]) -> None:
        agent_id, window = _parts(id)
        budgets.lock_tenant(hand.tx, hand.tenant_id)
        if agent_id:
            known.require_agent(hand.tx, hand.tenant_id, agent_id)
        before = budgets.lock_same(hand.tx, hand.tenant_id, agent_id, window)
        fields = over(before, _NAMES, fields, changed)
        limits = Limits(
            agent_id=agent_id, window=window, **domain_fields(Limits, fields, _NAMES, window=window)
        )
        budget_id = before.budget_id if before else str(new_id())
        after = budgets.put(hand.tx, hand.tenant_id, budget_id, limits)
        change = Change(Changed.BUDGET, agent_id, hand.tenant_id)
        hand.wrote(change, ("budget", budget_id), before=before, after=after)


def _limits(budget: Budget) -> bool:
    """Whether there is something that it limits."""
    return budget.limit_usd is not None or budget.limit_tokens is not None


def _parts(id: str) -> tuple[str, timedelta]:
    """Whose a budget is, empty for the tenant, and of which window."""
    agent_id, _, window = id.partition("/")
    length: timedelta = unflatten({"window": window})["window"]
    return "" if agent_id == EVERYBODY else agent_id, length
