"""Tokens: what is accepted, and that a refusal never says which check failed."""

from __future__ import annotations

import time
from datetime import timedelta
from typing import Any
from uuid import UUID

import jwt
import pytest

from imrs_server.domain.errors import TokenExpired, TokenInvalid
from imrs_server.domain.principal import Role
from imrs_server.transport.tokens import Trust, Verifier, issue

SECRET = b"0123456789abcdef0123456789abcdef"
OTHER = b"fedcba9876543210fedcba9876543210"
TENANT = UUID("01930000-0000-7000-8000-000000000001")
TRUST = Trust(secrets=(SECRET,))


def claims(**changes: Any) -> dict[str, Any]:
    now = int(time.time())
    good = {
        "sub": "ann",
        "tenant_id": str(TENANT),
        "roles": ["tenant_admin"],
        "iss": "imrs",
        "aud": "imrs",
        "iat": now,
        "exp": now + 60,
        "jti": "01930000-0000-7000-8000-00000000000a",
    } | changes
    return {name: value for name, value in good.items() if value is not None}


def signed(secret: bytes = SECRET, algorithm: str = "HS256", **changes: Any) -> str:
    return jwt.encode(claims(**changes), secret, algorithm=algorithm)


def test_an_issued_token_is_accepted() -> None:
    token = issue(TRUST, roles=[Role.AGENT], subject="bot", tenant_id=TENANT, agent_id="coder")
    who = Verifier(TRUST).verify(token)
    assert (who.subject, who.tenant_id, who.agent_id) == ("bot", TENANT, "coder")
    assert who.roles == frozenset({Role.AGENT})


def test_secrets_can_be_rotated() -> None:
    verifier = Verifier(Trust(secrets=(OTHER, SECRET)))
    assert verifier.verify(signed(SECRET)).subject == verifier.verify(signed(OTHER)).subject == "ann"


@pytest.mark.parametrize(
    "changes",
    [
        {"tenant_id": None},
        {"tenant_id": [str(TENANT)]},
        {"tenant_id": "not-a-uuid"},
        {"roles": []},
        {"sub": ""},
        {"sub": "a\0b"},
        {"sub": "x" * 256},
        {"roles": "tenant_admin"},
        {"roles": ["emperor"]},
        {"roles": ["agent"]},
        {"roles": ["agent"], "agent_id": "../x"},
        {"sub": 7},
        {"iss": "somebody"},
        {"aud": "somebody"},
        {"exp": None},
        {"iat": None},
        {"jti": None},
        {"exp": "9999999999"},
        {"nbf": int(time.time()) + 3600},
    ],
)
def test_claims_that_do_not_fit_are_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(TokenInvalid) as caught:
        Verifier(TRUST).verify(signed(**changes))
    assert str(caught.value) == "The token is not valid."


def test_another_algorithm_or_secret_is_refused() -> None:
    unsigned = jwt.encode(claims(), "", algorithm="none")
    for token in (unsigned, signed(OTHER), signed(SECRET * 2, algorithm="HS384"), "a.b.c", "", "x" * 9000):
        with pytest.raises(TokenInvalid):
            Verifier(TRUST).verify(token)


def test_an_expired_token_is_told_apart() -> None:
    with pytest.raises(TokenExpired):
        Verifier(TRUST).verify(signed(exp=int(time.time()) - 3600))


def test_an_expired_token_of_a_stranger_is_merely_invalid() -> None:
    with pytest.raises(TokenInvalid):
        Verifier(TRUST).verify(signed(OTHER, exp=int(time.time()) - 3600))


def test_a_remembered_token_is_checked_again_after_a_minute_at_most() -> None:
    now = [time.time()]
    verifier = Verifier(TRUST, clock=lambda: now[0])
    token = signed(exp=int(now[0]) + 3600)
    first = verifier.verify(token)
    assert verifier.verify(token) is first
    now[0] += 61
    assert verifier.verify(token) is not first


def test_a_remembered_token_does_not_outlive_its_expiry() -> None:
    now = [time.time()]
    verifier = Verifier(TRUST, clock=lambda: now[0])
    token = signed(exp=int(now[0]) + 20)
    first = verifier.verify(token)
    now[0] += 21
    assert verifier.verify(token) is not first  # asked again: the library's own leeway has the last word


def test_short_secrets_are_refused() -> None:
    with pytest.raises(ValueError, match="32 bytes"):
        Trust(secrets=(b"short",))


def test_a_token_without_a_tenant_is_for_platform_admins_only() -> None:
    with pytest.raises(ValueError, match="platform admin"):
        issue(TRUST, roles=[Role.TENANT_ADMIN], subject="x", lifetime=timedelta(hours=1))
