"""Decisions as they were logged."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from imrs_server.domain.decision import recall
from imrs_server.domain.errors import DecisionNotFound
from imrs_server.domain.listing import Page
from imrs_server.domain.principal import Role
from imrs_server.storage import decisions

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime
    from uuid import UUID

    from imrs_client.ranked import Reason
    from imrs_server.domain.decision import Decision
    from imrs_server.domain.listing import PageRequest
    from imrs_server.domain.principal import Principal
    from imrs_server.storage.database import Database

NEWEST_FIRST = "create_time desc"


class Decisions:
    """``flush`` brings what this server still holds back into the database."""

    def __init__(self, database: Database, flush: Callable[[], object]) -> None:
        self._database = database
        self._flush = flush

    def get(self, who: Principal, tenant_id: UUID | None, decision_id: UUID) -> Decision:
        """One decision, its models by id alone. Raises DecisionNotFound."""
        who.require(Role.TENANT_ADMIN, Role.PLATFORM_ADMIN)
        tenant = who.tenant(tenant_id)
        self._flush()
        with self._database.transaction(tenant) as tx:
            found = decisions.get(tx, tenant, decision_id)
        if found is None:
            raise DecisionNotFound(decision_id=decision_id)
        return recall(found)

    def list(
        self,
        who: Principal,
        tenant_id: UUID | None,
        page: PageRequest,
        *,
        agent_id: str = "",
        reason: Reason | None = None,
        start_time: datetime | None = None,
        end_time: datetime | None = None,
    ) -> Page[Decision]:
        """Decisions, the newest first unless the page says otherwise."""
        who.require(Role.TENANT_ADMIN, Role.PLATFORM_ADMIN)
        scope = who.scope(tenant_id)
        self._flush()
        with self._database.scoped(scope) as tx:
            found = decisions.list_page(
                tx,
                replace(page, order_by=page.order_by or NEWEST_FIRST),
                scope,
                agent_id=agent_id,
                reason=reason,
                start_time=start_time,
                end_time=end_time,
            )
        return Page(
            items=[recall(each) for each in found.items], total_size=found.total_size, after=found.after
        )
