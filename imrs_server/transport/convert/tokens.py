"""Token messages and domain tokens."""

from __future__ import annotations

from typing import TYPE_CHECKING

from imrs_client import v1 as pb
from imrs_server.domain.errors import InvalidRequest, Violation
from imrs_server.domain.principal import Role
from imrs_server.transport.convert import common

if TYPE_CHECKING:
    from collections.abc import Sequence

    from imrs_server.domain.token import IssuedToken


def to_proto(token: IssuedToken) -> pb.Token:
    return pb.Token(
        token_id=str(token.token_id),
        tenant_id="" if token.tenant_id is None else str(token.tenant_id),
        subject=token.subject,
        roles=token.roles,
        agent_id=token.agent_id,
        issued_by=token.issued_by,
        create_time=common.to_timestamp(token.create_time),
        expire_time=common.to_timestamp(token.expire_time),
        revoke_time=common.to_timestamp(token.revoke_time),
    )


def roles(names: Sequence[str]) -> frozenset[Role]:
    """Raises InvalidRequest for a name that is no role."""
    known = {str(each) for each in Role}
    if not known.issuperset(names):
        raise InvalidRequest(Violation("roles", f"each must be one of {', '.join(sorted(known))}"))
    return frozenset(Role(name) for name in names)
