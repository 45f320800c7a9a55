"""JWTs: issued for people and agents, verified once and then remembered."""

from __future__ import annotations

import hashlib
import re
import time
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any
from uuid import UUID

import jwt

from imrs_client.ids import new_id
from imrs_server.domain.errors import TokenExpired, TokenInvalid
from imrs_server.domain.principal import Principal, Role

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

ALGORITHM = "HS256"
MAX_TOKEN_BYTES = 8192
MIN_SECRET_BYTES = 32
MAX_SUBJECT = 255
_LEEWAY_SECONDS = 30
_REMEMBER_SECONDS = 60.0
_CACHE_SIZE = 10_000

_AGENT_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Trust:
    """Which tokens count. The first secret signs; further ones are still accepted, for rotation."""

    secrets: tuple[bytes, ...]
    issuer: str = "imrs"
    audience: str = "imrs"

    def __post_init__(self) -> None:
        if not self.secrets or any(len(each) < MIN_SECRET_BYTES for each in self.secrets):
            msg = f"each JWT secret must have at least {MIN_SECRET_BYTES} bytes"
            raise ValueError(msg)


def issue(
    trust: Trust,
    *,
    roles: Sequence[Role],
    subject: str,
    tenant_id: UUID | None = None,
    agent_id: str | None = None,
    lifetime: timedelta = timedelta(hours=12),
) -> str:
    """Sign a token. Raises ValueError where role, tenant and agent do not fit together."""
    if tenant_id is None and set(roles) != {Role.PLATFORM_ADMIN}:
        msg = "only a platform admin's token may be without a tenant"
        raise ValueError(msg)
    if (Role.AGENT in roles) != (agent_id is not None):
        msg = "the role agent and an agent_id go together"
        raise ValueError(msg)
    now = int(time.time())
    claims: dict[str, Any] = {
        "sub": subject,
        "roles": [str(role) for role in roles],
        "iss": trust.issuer,
        "aud": trust.audience,
        "iat": now,
        "exp": now + int(lifetime.total_seconds()),
        "jti": str(new_id()),
    }
    if tenant_id is not None:
        claims["tenant_id"] = str(tenant_id)
    if agent_id is not None:
        claims["agent_id"] = agent_id
    return jwt.encode(claims, trust.secrets[0], algorithm=ALGORITHM)


class Verifier:
    """Turns tokens into principals. Verified ones are remembered for a minute at most, by their hash."""

    def __init__(self, trust: Trust, clock: Callable[[], float] = time.time) -> None:
        self._trust = trust
        self._clock = clock
        self._known: dict[bytes, tuple[Principal, float]] = {}

    def verify(self, token: str) -> Principal:
        """Raises TokenInvalid or TokenExpired, which never say which check failed."""
        if len(token) > MAX_TOKEN_BYTES:
            raise TokenInvalid
        digest = hashlib.sha256(token.encode()).digest()
        known = self._known.get(digest)
        if known is not None and self._clock() < known[1]:
            return known[0]
        claims = self._claims(token)
        principal = _principal(claims)
        if len(self._known) >= _CACHE_SIZE:
            self._known.clear()
        self._known[digest] = (principal, min(claims["exp"], self._clock() + _REMEMBER_SECONDS))
        return principal

    def _claims(self, token: str) -> dict[str, Any]:
        for secret in self._trust.secrets:
            try:
                found: dict[str, Any] = jwt.decode(
                    token,
                    secret,
                    algorithms=[ALGORITHM],
                    issuer=self._trust.issuer,
                    audience=self._trust.audience,
                    leeway=_LEEWAY_SECONDS,
                    options={"require": ["exp", "iat", "sub", "iss", "aud", "jti"]},
                )
            except jwt.ExpiredSignatureError:
                raise TokenExpired from None
            except jwt.InvalidSignatureError:
                continue
            except (jwt.InvalidTokenError, ValueError):
                raise TokenInvalid from None
            else:
                return found
        raise TokenInvalid


def _principal(claims: dict[str, Any]) -> Principal:
    """Check the type of every claim: the library accepts a list for a string, and a number as text."""
    try:
        if not isinstance(claims["exp"], int) or not isinstance(claims["sub"], str):
            raise TokenInvalid
        roles = frozenset(Role(each) for each in _strings(claims["roles"]))
        tenant = claims.get("tenant_id")
        agent_id = claims.get("agent_id")
        principal = Principal(
            subject=claims["sub"],
            tenant_id=None if tenant is None else UUID(_string(tenant)),
            roles=roles,
            agent_id=None if agent_id is None else _string(agent_id),
            token_id=_string(claims["jti"]),
        )
    except (KeyError, ValueError):
        raise TokenInvalid from None
    tenantless = principal.tenant_id is None and roles != {Role.PLATFORM_ADMIN}
    nameless = Role.AGENT in roles and not _AGENT_ID.fullmatch(principal.agent_id or "")
    # The subject is stored with what its owner does, and no column takes a NUL.
    unwritable = not 0 < len(principal.subject) <= MAX_SUBJECT or not principal.subject.isprintable()
    if not roles or tenantless or nameless or unwritable:
        raise TokenInvalid
    return principal


def _string(value: Any) -> str:
    if not isinstance(value, str) or not value:
        raise TokenInvalid
    return value


def _strings(value: Any) -> list[str]:
    if not isinstance(value, list):
        raise TokenInvalid
    return [_string(each) for each in value]
