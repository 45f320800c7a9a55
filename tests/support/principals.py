"""Callers of every role."""

from __future__ import annotations

from imrs_server.domain.principal import Principal, Role
from tests.support.schema import ELSEWHERE, HERE

PLATFORM = Principal(subject="root", tenant_id=None, roles=frozenset({Role.PLATFORM_ADMIN}))
ADMIN = Principal(subject="ann", tenant_id=HERE, roles=frozenset({Role.TENANT_ADMIN}))
STRANGER = Principal(subject="eve", tenant_id=ELSEWHERE, roles=frozenset({Role.TENANT_ADMIN}))
USER = Principal(subject="uma", tenant_id=HERE, roles=frozenset({Role.USER}))


def agent(agent_id: str) -> Principal:
    """The agent itself."""
    return Principal(subject=agent_id, tenant_id=HERE, roles=frozenset({Role.AGENT}), agent_id=agent_id)
