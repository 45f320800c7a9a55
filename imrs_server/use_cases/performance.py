"""How models do."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from imrs_server.domain.principal import Role
from imrs_server.storage import performance

if TYPE_CHECKING:
    from uuid import UUID

    from imrs_server.domain.listing import Page, PageRequest
    from imrs_server.domain.performance import Performance, PerformanceFilter
    from imrs_server.domain.principal import Principal
    from imrs_server.storage.database import Database


class PerformanceReport:
    """Reads what was recorded; what routing has learned from it is in ExplainRoute."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def list(
        self, who: Principal, tenant_id: UUID | None, page: PageRequest, wanted: PerformanceFilter
    ) -> Page[Performance]:
        """One row a model, the best score first; of the tenant, or of all for a platform admin without one.

        Rows tell agents or tasks apart only where the filter names one: without it they are pooled. A vote
        counts on the day of its call, or of the decision whose call was never recorded. A model that only the
        shadow policy would have chosen has a row without calls.
        """
        who.require(Role.TENANT_ADMIN, Role.PLATFORM_ADMIN)
        scope = who.scope(tenant_id)
        page = replace(page, order_by=page.order_by or "score desc")
        with self._database.scoped(scope) as tx:
            found = performance.list_page(tx, page, scope, wanted)
            trends = performance.trends(tx, scope, wanted, [each.model_id for each in found.items])
        items = [replace(each, trend=tuple(trends.get(each.model_id, ()))) for each in found.items]
        return replace(found, items=items)
