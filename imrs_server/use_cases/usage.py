"""What calls added up to."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from imrs_server.domain.errors import InvalidRequest, Violation
from imrs_server.domain.principal import Role
from imrs_server.domain.usage import MOST_GROUPS, Usage, UsageReport, span
from imrs_server.storage import usage

if TYPE_CHECKING:
    from collections.abc import Sequence
    from uuid import UUID

    from imrs_server.domain.principal import Principal
    from imrs_server.domain.usage import Key
    from imrs_server.storage.database import Database


class UsageDesk:
    """Reads what was recorded of calls."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def report(
        self,
        who: Principal,
        tenant_id: UUID | None,
        group_by: Sequence[Key] = (),
        *,
        start_time: datetime | None = None,
        end_time: datetime | None = None,
    ) -> UsageReport:
        """Sums of the tenant's calls, or of all tenants' for a platform admin without one.

        Raises InvalidRequest for a range that ends before it starts, and where there are more than 10,000
        groups.
        """
        who.require(Role.TENANT_ADMIN, Role.PLATFORM_ADMIN)
        scope = who.scope(tenant_id)
        asked = span(start_time, end_time, datetime.now(UTC))
        with self._database.scoped(scope) as tx:
            found = usage.report(tx, scope, asked, group_by, MOST_GROUPS + 1)
        groups = tuple(each for is_total, each in found if not is_total)
        if len(groups) > MOST_GROUPS:
            raise InvalidRequest(
                Violation("group_by", f"makes more than {MOST_GROUPS} groups; name less, or a shorter range")
            )
        totals = next((each for is_total, each in found if is_total), Usage())
        return UsageReport(usages=groups if group_by else (), totals=totals)
