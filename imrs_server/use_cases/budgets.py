"""What agents and tenants may spend."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from imrs_client.ids import new_id
from imrs_server.domain.errors import BudgetNotFound, EtagMismatch, InvalidRequest, Violation
from imrs_server.domain.principal import Role
from imrs_server.domain.provider import require_etag
from imrs_server.domain.written import Written
from imrs_server.storage import audit, budgets, changes
from imrs_server.storage.changes import Change, Kind
from imrs_server.use_cases import known

if TYPE_CHECKING:
    from uuid import UUID

    from imrs_server.domain.budget import Budget, Wanted
    from imrs_server.domain.listing import Page, PageRequest
    from imrs_server.domain.principal import Principal
    from imrs_server.storage.database import Database, Tx


class Budgets:
    """For admins. Every method takes the tenant that the request names, None for the caller's own."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def put(
        self, who: Principal, tenant_id: UUID | None, wanted: Wanted, *, etag: str = ""
    ) -> Written[Budget]:
        """Set a budget, in place of the one with this id or, without an id, with this agent and window.

        What was spent stays, unless the window becomes another one; a new budget begins with nothing spent.

        Raises InvalidRequest, AgentNotFound, BudgetNotFound, EtagMismatch.
        """
        tenant = _tenant(who, tenant_id)
        with self._database.transaction(tenant) as tx:
            budgets.lock_tenant(tx, tenant)
            before = _found(tx, tenant, wanted)
            if before is not None:
                require_etag(etag, before.version)
                wanted = replace(wanted, agent_id=before.agent_id)
            elif etag:
                raise EtagMismatch(etag=etag, current="none, for there is no budget")
            if wanted.agent_id:
                known.require_agent(tx, tenant, wanted.agent_id)
            after = budgets.put(tx, tenant, before.budget_id if before else str(new_id()), wanted)
            self._note(tx, who, "SetBudget", before=before, after=after)
            return Written(after, _announce(tx, after))

    def list(
        self, who: Principal, tenant_id: UUID | None, page: PageRequest, *, agent_id: str = ""
    ) -> Page[Budget]:
        """A tenant's budgets, for a platform admin without a tenant those of all; those of one agent where
        one is named.
        """
        who.require(Role.TENANT_ADMIN, Role.PLATFORM_ADMIN)
        scope = who.scope(tenant_id)
        with self._database.scoped(scope) as tx:
            return budgets.list_page(tx, page, scope, agent_id)

    def delete(
        self, who: Principal, tenant_id: UUID | None, budget_id: str, *, etag: str = ""
    ) -> Written[None]:
        """Raises BudgetNotFound, EtagMismatch."""
        tenant = _tenant(who, tenant_id)
        with self._database.transaction(tenant) as tx:
            before = budgets.lock(tx, tenant, budget_id)
            if before is None:
                raise BudgetNotFound(budget_id=budget_id)
            require_etag(etag, before.version)
            budgets.delete(tx, tenant, budget_id)
            self._note(tx, who, "DeleteBudget", before=before)
            return Written(None, _announce(tx, before))

    def _note(
        self, tx: Tx, who: Principal, method: str, *, before: Budget | None, after: Budget | None = None
    ) -> None:
        budget = after or before
        assert budget is not None
        target = ("budget", budget.budget_id)
        audit.write(tx, who, method, target, before=before, after=after, tenant_id=budget.tenant_id)


def _tenant(who: Principal, tenant_id: UUID | None) -> UUID:
    who.require(Role.TENANT_ADMIN, Role.PLATFORM_ADMIN)
    return who.tenant(tenant_id)


def _found(tx: Tx, tenant_id: UUID, wanted: Wanted) -> Budget | None:
    """What is set anew; None for a new budget."""
    if not wanted.budget_id:
        return budgets.lock_same(tx, tenant_id, wanted.agent_id, wanted.window)
    found = budgets.lock(tx, tenant_id, wanted.budget_id)
    if found is None:
        raise BudgetNotFound(budget_id=wanted.budget_id)
    if wanted.agent_id not in ("", found.agent_id):
        owner = f"agent {found.agent_id}" if found.agent_id else "the tenant"
        raise InvalidRequest(Violation("budget.agent_id", f"must be unset: the budget is of {owner}"))
    # Not locked: who locks several does it in the order of their ids.
    if found.window != wanted.window and budgets.same(tx, tenant_id, found.agent_id, wanted.window):
        raise InvalidRequest(Violation("budget.window", "must differ: another budget has this window"))
    return found


def _announce(tx: Tx, budget: Budget) -> int:
    return changes.announce(tx, Change(Kind.BUDGET, budget.agent_id, budget.tenant_id))
