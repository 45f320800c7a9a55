"""Tokens over the API: issued within one's own rights, listed, and refused everywhere once revoked."""

from __future__ import annotations

import time
from datetime import timedelta
from typing import TYPE_CHECKING

import jwt
import psycopg
import pytest
from google.protobuf.duration_pb2 import Duration

from imrs_client import ImrsClient, InvalidArgument, PermissionDenied, Unauthenticated
from imrs_client.v1 import (
    DetectTaskRequest,
    IssueTokenRequest,
    IssueTokenResponse,
    ListAgentsRequest,
    ListProvidersRequest,
    ListTokensRequest,
    RevokeTokenRequest,
)
from imrs_server.domain.principal import Role
from tests.support import patience
from tests.support.schema import ELSEWHERE
from tests.support.service import serving
from tests.support.waiting import eventually

if TYPE_CHECKING:
    from tests.conftest import Vault
    from tests.support.service import Service


def issue(client: ImrsClient, *roles: str, **request: object) -> IssueTokenResponse:
    return client.admin.IssueToken(IssueTokenRequest(roles=roles, **request))  # type: ignore[arg-type]


def with_token(service: Service, token: str) -> ImrsClient:
    return service.stack.enter_context(patience.client(service.app.address, token))


def accepted(client: ImrsClient) -> bool:
    try:
        client.route.DetectTask(DetectTaskRequest(message="hello"))
    except Unauthenticated as error:
        assert error.reason == "TOKEN_INVALID"  # noqa: PT017
        return False
    return True


def test_an_issued_token_lets_its_bearer_in_as_what_it_says(service: Service) -> None:
    issued = issue(service.tenant, "agent", agent_id="coder")
    claims = jwt.decode(issued.token, options={"verify_signature": False})
    assert claims["jti"] == issued.token_id
    assert claims["exp"] == issued.expire_time.seconds
    assert abs(claims["exp"] - time.time() - 12 * 3600) < 60
    assert (claims["sub"], claims["agent_id"]) == ("coder", "coder")
    assert claims["tenant_id"] == str(service.tenant_id)

    bot = with_token(service, issued.token)
    assert accepted(bot)
    with pytest.raises(PermissionDenied):
        bot.admin.ListAgents(ListAgentsRequest())


def test_nobody_issues_above_the_own_role_or_for_another_tenant(service: Service) -> None:
    with pytest.raises(PermissionDenied) as role:
        issue(service.tenant, "platform_admin")
    with pytest.raises(PermissionDenied) as tenant:
        issue(service.tenant, "user", tenant_id=str(ELSEWHERE))
    with pytest.raises(PermissionDenied) as user:
        issue(service.user, "user")
    assert [each.value.reason for each in (role, tenant, user)] == [
        "ROLE_REQUIRED", "TENANT_MISMATCH", "ROLE_REQUIRED"
    ]  # fmt: skip
    for roles in (["tenant_admin"], ["agent", "user"], ["user"]):
        issue(service.tenant, *roles, agent_id="coder" if "agent" in roles else "")


@pytest.mark.parametrize(
    ("roles", "request_fields", "field"),
    [
        (["agent"], {}, "agent_id"),
        (["user"], {"agent_id": "coder"}, "agent_id"),
        (["emperor"], {}, "roles"),
        (["user"], {"ttl": Duration(seconds=367 * 86_400)}, "ttl"),
        ([], {}, "roles"),
    ],
)
def test_what_does_not_fit_together_is_refused_by_field(
    service: Service, roles: list[str], request_fields: dict[str, object], field: str
) -> None:
    with pytest.raises(InvalidArgument) as caught:
        issue(service.tenant, *roles, **request_fields)
    assert [each.field for each in caught.value.violations] == [field]


def test_a_platform_admin_issues_for_any_tenant_and_for_none(service: Service) -> None:
    platform = service.platform
    with_token(service, issue(platform, "platform_admin").token).admin.ListProviders(ListProvidersRequest())
    other = issue(platform, "tenant_admin", tenant_id=str(ELSEWHERE), subject="eve")
    assert len(with_token(service, other.token).admin.ListTokens(ListTokensRequest()).tokens) == 1
    with pytest.raises(InvalidArgument):
        issue(platform, "tenant_admin")  # of which tenant?


def test_tokens_are_listed_without_themselves_and_by_tenant(service: Service, database: str) -> None:
    ttl = Duration()
    ttl.FromTimedelta(timedelta(days=30))
    first = issue(service.tenant, "agent", agent_id="coder", ttl=ttl)
    second = issue(service.tenant, "user", subject="uma")
    theirs = issue(service.platform, "user", tenant_id=str(ELSEWHERE))

    listed = service.tenant.admin.ListTokens(ListTokensRequest(order_by="expire_time desc"))
    assert [each.token_id for each in listed.tokens] == [first.token_id, second.token_id]
    assert listed.total_size == 2
    assert (listed.tokens[1].subject, listed.tokens[1].issued_by) == ("uma", "tenant_admin")
    assert service.platform.admin.ListTokens(ListTokensRequest()).total_size == 3
    one = service.tenant.admin.ListTokens(ListTokensRequest(agent_id="coder", page_size=1))
    assert [each.token_id for each in one.tokens] == [first.token_id]
    named = service.tenant.admin.ListTokens(ListTokensRequest(token_id=second.token_id))
    assert [each.token_id for each in named.tokens] == [second.token_id]
    foreign = service.tenant.admin.ListTokens(ListTokensRequest(token_id=theirs.token_id))
    assert not foreign.tokens

    service.tenant.admin.RevokeToken(RevokeTokenRequest(token_id=first.token_id))
    assert service.tenant.admin.ListTokens(ListTokensRequest()).total_size == 1
    revoked = service.tenant.admin.ListTokens(ListTokensRequest(show_revoked=True, agent_id="coder"))
    assert revoked.tokens[0].HasField("revoke_time")

    with psycopg.connect(database) as connection:
        (dump,) = connection.execute(
            "select string_agg(t::text, '') || (select string_agg(a::text, '') from audit_events a) "
            "from issued_tokens t"
        ).fetchone() or ("",)
    assert first.token_id in dump
    assert first.token.rpartition(".")[2] not in dump


def test_a_revoked_token_is_refused_by_every_server_though_it_was_remembered(
    service: Service, database: str, vault: Vault
) -> None:
    with serving(database, vault) as second:
        issued = issue(service.tenant, "agent", agent_id="coder")
        clients = [with_token(each, issued.token) for each in (service, second)]
        assert all(accepted(each) for each in clients)

        service.tenant.admin.RevokeToken(RevokeTokenRequest(token_id=issued.token_id))
        eventually(lambda: not any(accepted(each) for each in clients))

    # A server that starts later knows of it too.
    with serving(database, vault) as third:
        assert not accepted(with_token(third, issued.token))


def test_what_one_may_not_see_one_cannot_revoke(service: Service) -> None:
    mine = issue(service.tenant, "agent", agent_id="coder")
    stranger = service.client(Role.TENANT_ADMIN, tenant_id=ELSEWHERE)
    stranger.admin.RevokeToken(RevokeTokenRequest(token_id=mine.token_id))
    service.settled(stranger)
    assert accepted(with_token(service, mine.token))

    platform = service.platform
    platform.admin.RevokeToken(RevokeTokenRequest(token_id=mine.token_id))
    service.settled(platform)
    assert not accepted(with_token(service, mine.token))
    platform.admin.RevokeToken(RevokeTokenRequest(token_id=mine.token_id))  # twice is no error
