"""The audit log, as admins read it. What writes it is the storage, in the transaction of each change."""

from __future__ import annotations

from typing import TYPE_CHECKING

from imrs_server.domain.principal import Role
from imrs_server.storage import audit

if TYPE_CHECKING:
    from uuid import UUID

    from imrs_server.domain.audit import AuditEvent, AuditFilter
    from imrs_server.domain.listing import Page, PageRequest
    from imrs_server.domain.principal import Principal
    from imrs_server.storage.database import Database


class AuditTrail:
    """Who changed what."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def list(
        self, who: Principal, tenant_id: UUID | None, page: PageRequest, filter: AuditFilter
    ) -> Page[AuditEvent]:
        """Changes of a tenant's things; of all things where a platform admin of no tenant names none.

        Raises TenantMismatch.
        """
        who.require(Role.TENANT_ADMIN, Role.PLATFORM_ADMIN)
        scope = who.scope(tenant_id)
        with self._database.scoped(scope) as tx:
            return audit.list_page(tx, page, scope, filter)
