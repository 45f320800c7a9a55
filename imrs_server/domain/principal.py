"""Who calls, and for which tenant."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from uuid import UUID

from imrs_server.domain.errors import AgentMismatch, InvalidRequest, RoleRequired, TenantMismatch, Violation


class Role(StrEnum):
    """The four roles, as the token names them."""

    PLATFORM_ADMIN = "platform_admin"
    TENANT_ADMIN = "tenant_admin"
    AGENT = "agent"
    USER = "user"


@dataclass(frozen=True, slots=True, kw_only=True)
class Principal:
    """What a verified token says."""

    subject: str
    tenant_id: UUID | None
    roles: frozenset[Role]
    agent_id: str | None = None
    token_id: str | None = None

    @property
    def is_platform_admin(self) -> bool:
        return Role.PLATFORM_ADMIN in self.roles

    def require(self, *roles: Role) -> None:
        """Refuse a caller who has none of these roles."""
        if self.roles.isdisjoint(roles):
            raise RoleRequired(roles=", ".join(roles))

    def scope(self, tenant_id: UUID | None) -> UUID | None:
        """The tenant whose things a list shows; None shows a platform admin all tenants.

        Raises TenantMismatch when a token of one tenant names another.
        """
        if tenant_id is None or tenant_id == self.tenant_id:
            return self.tenant_id
        if not self.is_platform_admin:
            raise TenantMismatch
        return tenant_id

    def tenant(self, tenant_id: UUID | None) -> UUID:
        """The one tenant that a write or a single read is about.

        Raises InvalidRequest when a platform admin without a tenant names none.
        """
        found = self.scope(tenant_id)
        if found is None:
            raise InvalidRequest(
                Violation("tenant_id", "must be set: a platform admin's token belongs to no tenant")
            )
        return found

    def agent(self, agent_id: str) -> str:
        """The agent that a call is about: the token's own when none is named.

        Raises AgentMismatch when an agent names another, InvalidRequest when nobody names one.
        """
        if self.acts_only_as_agent:
            if agent_id and agent_id != self.agent_id:
                raise AgentMismatch
            agent_id = self.agent_id or ""
        if not agent_id:
            raise InvalidRequest(Violation("agent_id", "must be set: the token names no agent"))
        return agent_id

    @property
    def acts_only_as_agent(self) -> bool:
        """Whether the agent role is the strongest one held."""
        return Role.AGENT in self.roles and self.roles.isdisjoint({Role.PLATFORM_ADMIN, Role.TENANT_ADMIN})


def system(job: str) -> Principal:
    """The server itself, at one of its own jobs; the audit log names it so."""
    return Principal(subject=f"imrs:{job}", tenant_id=None, roles=frozenset({Role.PLATFORM_ADMIN}))
