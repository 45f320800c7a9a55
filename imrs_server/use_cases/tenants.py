"""Tenants and their names."""

from __future__ import annotations

from typing import TYPE_CHECKING

from imrs_server.domain.principal import Role
from imrs_server.domain.written import Written
from imrs_server.storage import audit, changes, tenants

if TYPE_CHECKING:
    from imrs_server.domain.listing import Page, PageRequest
    from imrs_server.domain.principal import Principal
    from imrs_server.domain.tenant import Tenant
    from imrs_server.storage.database import Database


class Tenants:
    """For platform admins only."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def put(self, who: Principal, tenant: Tenant) -> Written[Tenant]:
        """Give a tenant its name; it need not have been seen before. Route does not care for names."""
        who.require(Role.PLATFORM_ADMIN)
        with self._database.transaction(tenant.tenant_id) as tx:
            before = tenants.get(tx, tenant.tenant_id)
            after = tenants.put(tx, tenant)
            if after != before:
                target = ("tenant", str(tenant.tenant_id))
                audit.write(
                    tx, who, "SetTenant", target, before=before, after=after, tenant_id=tenant.tenant_id
                )
            return Written(after, changes.current(tx).rev)

    def list(self, who: Principal, page: PageRequest) -> Page[Tenant]:
        """Tenants that were named, or that ever had an agent."""
        who.require(Role.PLATFORM_ADMIN)
        with self._database.scoped(None) as tx:
            return tenants.list_page(tx, page)
