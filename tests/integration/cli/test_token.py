"""``imrs token``: tokens that the server takes, and none that it would not."""

from __future__ import annotations

from typing import TYPE_CHECKING
from uuid import UUID

import pytest

from imrs_server.domain.principal import Role
from imrs_server.transport.tokens import Trust, Verifier

if TYPE_CHECKING:
    from collections.abc import Callable

    from click.testing import Result

OLD, NEW = "the old secret of 32 bytes or more", "the new secret of 32 bytes or more"
TENANT = "11111111-1111-7111-8111-111111111111"


@pytest.mark.parametrize(
    ("words", "role"),
    [
        (("--role", "platform_admin"), Role.PLATFORM_ADMIN),
        (("--role", "tenant_admin", "--tenant", TENANT), Role.TENANT_ADMIN),
        (("--role", "agent", "--tenant", TENANT, "--agent", "coder"), Role.AGENT),
        (("--role", "user", "--tenant", TENANT), Role.USER),
    ],
    ids=lambda value: value if isinstance(value, Role) else "",
)
def test_a_token_of_each_role_counts(imrs: Callable[..., Result], words: tuple[str, ...], role: Role) -> None:
    done = imrs("token", *words, "--subject", "ann", jwt_secrets=f"{NEW},{OLD}")
    assert done.exit_code == 0, done.output
    principal = Verifier(Trust(secrets=(NEW.encode(),))).verify(done.output.strip())
    assert (principal.subject, principal.roles) == ("ann", frozenset({role}))
    assert principal.tenant_id == (UUID(TENANT) if "--tenant" in words else None)
    assert principal.agent_id == ("coder" if role is Role.AGENT else None)


@pytest.mark.parametrize(
    ("words", "secrets", "said"),
    [
        (("--role", "user"), NEW, "only a platform admin's token may be without a tenant"),
        (("--role", "agent", "--tenant", TENANT), NEW, "the role agent and an agent_id go together"),
        (("--role", "user", "--tenant", TENANT, "--agent", "a"), NEW, "the role agent and an agent_id"),
        (("--role", "king", "--tenant", TENANT), NEW, "'king' is not one of"),
        (("--role", "user", "--tenant", "here"), NEW, "'here' is not a valid UUID"),
        (("--role", "user", "--tenant", TENANT, "--hours", "0"), NEW, "0 is not in the range"),
        ((), NEW, "Missing option '--role'"),
        (("--role", "platform_admin"), "", "IMRS_JWT_SECRETS: is missing"),
        (
            ("--role", "platform_admin"),
            "too short",
            "IMRS_JWT_SECRETS: each secret must have at least 32 bytes",
        ),
    ],
)
def test_what_would_not_count_is_refused(
    imrs: Callable[..., Result], words: tuple[str, ...], secrets: str, said: str
) -> None:
    done = imrs("token", *words, jwt_secrets=secrets)
    assert done.exit_code in {1, 2}
    assert said in done.output
    assert "too short" not in done.output
