"""JWTs: issued for people and agents, verified once and then remembered.

HS256 is for the secrets of this service, RS256, ES256 and EdDSA for the keys of an identity provider; a key
of one kind never verifies a token of the other, whatever the token says.
"""

from __future__ import annotations

import re
import time
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any
from uuid import UUID

import jwt

from imrs_client.ids import new_id
from imrs_server.domain.errors import TokenExpired, TokenInvalid, TokenMissing
from imrs_server.domain.principal import Principal, Role

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from imrs_server.adapters.jwks import PublicKey
    from imrs_server.domain.token import IssuedToken

ALGORITHM = "HS256"
PUBLIC_ALGORITHMS = frozenset({"RS256", "ES256", "EdDSA"})
MAX_TOKEN_BYTES = 8192
MIN_SECRET_BYTES = 32
MAX_SUBJECT = 255
_LEEWAY_SECONDS = 30
_REMEMBER_SECONDS = 60.0
_CACHE_SIZE = 10_000
_SCHEME = "bearer "

_AGENT_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Trust:
    """Which tokens count. The first secret signs; further ones are still accepted, for rotation.

    ``public_issuer`` and ``public_audience`` are those of an identity provider's tokens; by default the same.
    """

    secrets: tuple[bytes, ...]
    issuer: str = "imrs"
    audience: str = "imrs"
    public_issuer: str = ""
    public_audience: str = ""

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
    token_id: UUID | None = None,
    expire_time: datetime | None = None,
) -> str:
    """Sign a token that ends at ``expire_time``, else after ``lifetime``.

    Raises ValueError where role, tenant and agent do not fit together.
    """
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
        "exp": int(expire_time.timestamp()) if expire_time else now + int(lifetime.total_seconds()),
        "jti": str(token_id or new_id()),
    }
    if tenant_id is not None:
        claims["tenant_id"] = str(tenant_id)
    if agent_id is not None:
        claims["agent_id"] = agent_id
    return jwt.encode(claims, trust.secrets[0], algorithm=ALGORITHM)


def sign(trust: Trust, token: IssuedToken) -> str:
    """The JWT of a token that was noted."""
    return issue(
        trust,
        roles=token.roles,
        subject=token.subject,
        tenant_id=token.tenant_id,
        agent_id=token.agent_id or None,
        token_id=token.token_id,
        expire_time=token.expire_time,
    )


def _no_key(_kid: str) -> None:
    return None


class Verifier:
    """Turns tokens into principals. Verified ones are remembered for a minute at most, by their hash.

    ``find_key`` gives the identity provider's key of a ``kid``; ``revoked`` the ids of revoked tokens, which
    are asked for at every call, so that remembering does not keep one alive.
    """

    def __init__(
        self,
        trust: Trust,
        clock: Callable[[], float] = time.time,
        *,
        find_key: Callable[[str], PublicKey | None] = _no_key,
        revoked: Callable[[], frozenset[str]] = frozenset,
    ) -> None:
        self._trust = trust
        self._clock = clock
        self._find_key = find_key
        self._revoked = revoked
        # By the header, as it came: what is asked for at every call is not made anew.
        self._known: dict[str | bytes, tuple[Principal, float]] = {}

    def forget(self) -> None:
        """Check every token anew: keys have changed."""
        self._known = {}

    def bearer(self, metadata: Iterable[tuple[str, str | bytes]]) -> Principal:
        """Who sent the metadata of a call. Raises TokenMissing, TokenInvalid or TokenExpired."""
        values = [value for key, value in metadata if key == "authorization"]
        return self._admit(values[0] if len(values) == 1 else "")

    def verify(self, token: str) -> Principal:
        """Raises TokenInvalid or TokenExpired, which never say which check failed."""
        return self._admit(_SCHEME + token)

    def _admit(self, value: str | bytes) -> Principal:
        known = self._known.get(value)
        if known is None or self._clock() >= known[1]:
            known = self._learn(value)
        principal = known[0]
        if principal.token_id in self._revoked():
            raise TokenInvalid
        return principal

    def _learn(self, value: str | bytes) -> tuple[Principal, float]:
        if not isinstance(value, str) or value[: len(_SCHEME)].lower() != _SCHEME:
            raise TokenMissing
        token = value[len(_SCHEME) :].strip()
        if len(token) > MAX_TOKEN_BYTES:
            raise TokenInvalid
        # Taken before the key is: where keys change from now on, nobody asks these any more.
        remembered = self._known
        claims = self._claims(token)
        found = _principal(claims), min(claims["exp"], self._clock() + _REMEMBER_SECONDS)
        if len(remembered) >= _CACHE_SIZE:
            remembered.clear()
        remembered[value] = found
        return found

    def _claims(self, token: str) -> dict[str, Any]:
        trust = self._trust
        try:
            header = jwt.get_unverified_header(token)
        except (jwt.InvalidTokenError, ValueError):
            raise TokenInvalid from None
        algorithm, kid = header.get("alg"), header.get("kid")
        if algorithm == ALGORITHM:
            for secret in trust.secrets:
                with suppress(jwt.InvalidSignatureError):
                    return _decoded(token, secret, ALGORITHM, trust.issuer, trust.audience)
        elif isinstance(algorithm, str) and algorithm in PUBLIC_ALGORITHMS and isinstance(kid, str):
            found = self._find_key(kid)
            if found is not None and found.algorithm == algorithm:
                issuer, audience = (
                    trust.public_issuer or trust.issuer,
                    trust.public_audience or trust.audience,
                )
                with suppress(jwt.InvalidSignatureError):
                    return _decoded(token, found.key, found.algorithm, issuer, audience)
        raise TokenInvalid


def _decoded(token: str, key: Any, algorithm: str, issuer: str, audience: str) -> dict[str, Any]:
    """Raises jwt.InvalidSignatureError for another key's token, TokenExpired, and TokenInvalid."""
    try:
        found: dict[str, Any] = jwt.decode(
            token,
            key,
            algorithms=[algorithm],
            issuer=issuer,
            audience=audience,
            leeway=_LEEWAY_SECONDS,
            options={"require": ["exp", "iat", "sub", "iss", "aud", "jti"]},
        )
    except jwt.ExpiredSignatureError:
        raise TokenExpired from None
    except jwt.InvalidSignatureError:
        raise
    except (jwt.InvalidTokenError, ValueError):
        raise TokenInvalid from None
    return found


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
