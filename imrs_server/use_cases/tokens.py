"""Tokens: issued, listed and revoked. Who issues one can give away no more than he has."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from imrs_client.ids import new_id
from imrs_server.domain.errors import InvalidRequest, RoleRequired, Violation
from imrs_server.domain.principal import Role
from imrs_server.domain.token import IssuedToken
from imrs_server.domain.written import Written
from imrs_server.storage import audit, changes, tenants, tokens
from imrs_server.storage.changes import Change, Kind

if TYPE_CHECKING:
    from collections.abc import Collection
    from uuid import UUID

    from imrs_server.domain.listing import Page, PageRequest
    from imrs_server.domain.principal import Principal
    from imrs_server.storage.database import Database

Sign = Callable[[IssuedToken], str]

LIFETIME = timedelta(hours=12)


class Tokens:
    """Every method takes the tenant that the request names, None for the caller's own.

    ``sign`` makes a JWT of a token.
    """

    def __init__(self, database: Database, sign: Sign) -> None:
        self._database = database
        self._sign = sign

    def issue(
        self,
        who: Principal,
        tenant_id: UUID | None,
        roles: Collection[Role],
        *,
        agent_id: str = "",
        lifetime: timedelta | None = None,
        subject: str = "",
    ) -> Written[tuple[IssuedToken, str]]:
        """Sign a token, and note that there is one; its text is only in the answer.

        A platform admin's token belongs to a tenant only where one is named. Raises RoleRequired for a role
        above the caller's, InvalidRequest, TenantMismatch.
        """
        who.require(Role.TENANT_ADMIN, Role.PLATFORM_ADMIN)
        if Role.PLATFORM_ADMIN in roles and not who.is_platform_admin:
            raise RoleRequired(roles=Role.PLATFORM_ADMIN)
        if (Role.AGENT in roles) != bool(agent_id):
            raise InvalidRequest(Violation("agent_id", "the role agent and an agent_id go together"))
        alone = set(roles) == {Role.PLATFORM_ADMIN}
        token = IssuedToken(
            token_id=new_id(),
            tenant_id=who.scope(tenant_id) if alone else who.tenant(tenant_id),
            subject=subject or agent_id or str(new_id()),
            roles=tuple(sorted(set(roles))),
            agent_id=agent_id,
            issued_by=who.subject,
            expire_time=_whole(datetime.now(UTC) + (lifetime or LIFETIME)),
        )
        with self._database.transaction(token.tenant_id) as tx:
            if token.tenant_id is not None:
                tenants.note(tx, token.tenant_id)
            noted = tokens.insert(tx, token)
            target = ("token", str(noted.token_id))
            audit.write(tx, who, "IssueToken", target, after=noted, tenant_id=noted.tenant_id)
            return Written((noted, self._sign(noted)), changes.current(tx).rev)

    def list(
        self,
        who: Principal,
        tenant_id: UUID | None,
        page: PageRequest,
        *,
        token_id: UUID | None = None,
        agent_id: str = "",
        show_revoked: bool = False,
    ) -> Page[IssuedToken]:
        """The tokens of a tenant, or of all where a platform admin of no tenant names none."""
        who.require(Role.TENANT_ADMIN, Role.PLATFORM_ADMIN)
        scope = who.scope(tenant_id)
        with self._database.scoped(scope) as tx:
            return tokens.list_page(
                tx,
                page,
                tenant_id=scope,
                token_id=token_id,
                agent_id=agent_id,
                show_revoked=show_revoked,
            )

    def revoke(self, who: Principal, tenant_id: UUID | None, token_id: UUID) -> Written[None]:
        """Every server refuses the token from the revision that comes back on.

        An id that the caller does not see is no error. A platform admin of no tenant who names none sees all
        tokens: one that is out is revoked by its id, whosever it is.
        """
        who.require(Role.TENANT_ADMIN, Role.PLATFORM_ADMIN)
        with self._database.scoped(who.scope(tenant_id)) as tx:
            before = tokens.lock(tx, token_id)
            if before is None or before.revoke_time is not None:
                return Written(None, changes.current(tx).rev)
            after = tokens.revoke(tx, token_id)
            target = ("token", str(token_id))
            audit.write(
                tx, who, "RevokeToken", target, before=before, after=after, tenant_id=before.tenant_id
            )
            change = Change(Kind.TOKEN, str(token_id), before.tenant_id)
            return Written(None, changes.announce(tx, change))


def _whole(time: datetime) -> datetime:
    """To the second, as a token has it."""
    return time.replace(microsecond=0)
