"""What no client of ours sends: tokens, page tokens and bytes that somebody made up."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import grpc
import psycopg
import pytest

from imrs_client import ImrsError
from imrs_client.v1 import (
    BatchSubmitFeedbackRequest,
    Decision,
    ListAgentsRequest,
    ListFeedbackRequest,
    ListModelsRequest,
    RouteRequest,
    SubmitFeedbackRequest,
)
from imrs_server.domain.principal import Role
from imrs_server.transport import tokens
from imrs_server.wiring import trust
from tests.support import raw
from tests.support.refusals import (
    MISSING,
    SECONDS,
    Call,
    World,
    admin,
    catalog,
    refused,
    route,
)

if TYPE_CHECKING:
    from tests.support.service import Service


def signed(world: World, **changes: Any) -> str:
    known: dict[str, Any] = {
        "roles": [Role.TENANT_ADMIN],
        "subject": "ann",
        "tenant_id": world.service.tenant_id,
    }
    return tokens.issue(trust(world.service.settings), **(known | changes))


LIST = "/imrs.v1.AdminService/ListAgents"


def sent(world: World, *authorization: str | bytes, method: str = LIST, data: bytes = b"") -> ImrsError:
    """How a call with these `authorization` entries is refused."""
    metadata = [("authorization", each) for each in authorization]
    before = world.stored
    error = raw.refusal(world.service.app.address, method, data, metadata)
    assert world.stored == before
    return error


def test_a_good_token_is_accepted_in_any_spelling_of_the_scheme(world: World) -> None:
    for scheme in ("Bearer", "bearer", "BEARER"):
        metadata = [("authorization", f"{scheme} {signed(world)}")]
        assert len(raw.send(world.service.app.address, LIST, b"", metadata)) == 1


def test_no_token(world: World) -> None:
    for authorization in ((), ("",), ("Basic YTpi",), (signed(world),), ("Bearer",)):
        error = sent(world, *authorization)
        assert (error.code.name, error.reason) == ("UNAUTHENTICATED", "TOKEN_MISSING"), authorization


def test_two_tokens_are_as_none(world: World) -> None:
    error = sent(world, f"Bearer {signed(world)}", f"Bearer {signed(world)}")
    assert (error.code.name, error.reason) == ("UNAUTHENTICATED", "TOKEN_MISSING")


def test_a_token_that_has_ended(world: World) -> None:
    error = sent(world, f"Bearer {signed(world, lifetime=timedelta(minutes=-1))}")
    assert (error.code.name, error.reason) == ("UNAUTHENTICATED", "TOKEN_EXPIRED")


def test_garbage_for_a_token(world: World) -> None:
    good = signed(world)
    head, claims, signature = good.split(".")
    other = "A" if signature[5] != "A" else "B"
    unsigned = "eyJhbGciOiJub25lIn0"
    garbage = [
        "x",
        "a.b.c",
        f"{head}.{claims}.",
        f"{unsigned}.{claims}.",
        f"{head}.{claims}.{signature[:5]}{other}{signature[6:]}",
        f"{good} {good}",
        "x" * 8193,
    ]
    for token in garbage:
        error = sent(world, f"Bearer {token}")
        assert (error.code.name, error.reason) == ("UNAUTHENTICATED", "TOKEN_INVALID"), token
        assert error.message == "The token is not valid."


def test_a_page_token_is_good_for_its_caller_and_its_list_only(world: World) -> None:
    request = ListAgentsRequest(page_size=1)
    token = world.tenant.admin.ListAgents(request).next_page_token
    assert token
    request.page_token = token
    assert [each.agent_id for each in world.tenant.admin.ListAgents(request).agents] == ["idle"]
    colleague = world.service.client(Role.TENANT_ADMIN, Role.USER)
    middle = "A" if token[20] != "A" else "B"
    flipped = token[:20] + middle + token[21:]
    changes: list[Call] = [
        lambda world: world.stranger.admin.ListAgents(request),
        lambda _: colleague.admin.ListAgents(request),
        admin("tenant", "ListAgents", ListAgentsRequest(page_size=1, page_token=token, search="i")),
        admin("tenant", "ListAgents",
              ListAgentsRequest(page_size=1, page_token=token, order_by="agent_id desc")),
        admin("tenant", "ListAgents", ListAgentsRequest(page_size=1, page_token=flipped)),
        admin("tenant", "ListAgents", ListAgentsRequest(page_size=1, page_token=token[:-4])),
        catalog("tenant", "ListModels", ListModelsRequest(page_size=1, page_token=token)),
    ]  # fmt: skip
    for call in changes:
        error = refused(world, call)
        assert error.reason == "INVALID_REQUEST"
        assert [each.field for each in error.violations] == ["page_token"]


def test_bytes_that_are_no_message(world: World) -> None:
    bearer = f"Bearer {signed(world, roles=[Role.PLATFORM_ADMIN], tenant_id=None)}"
    for method in (LIST, "/imrs.v1.AdminService/SyncProvider", "/imrs.v1.RouteService/Route"):
        for data in (b"\xff\xff", b"\x0a\x05\xff", b"\x0a\x01\xff"):
            error = sent(world, bearer, method=method, data=data)
            assert (error.code.name, error.reason) == ("INVALID_ARGUMENT", "INVALID_REQUEST"), (method, data)


def test_a_bad_item_of_a_stream_fails_alone(world: World) -> None:
    token = world.service.token(Role.AGENT, agent_id="coder")
    good = RouteRequest(request_id="good").SerializeToString()
    with grpc.insecure_channel(world.service.app.address) as channel:
        call: grpc.StreamStreamMultiCallable[bytes, Decision] = channel.stream_stream(
            "/imrs.v1.RouteService/StreamRoutes", response_deserializer=Decision.FromString
        )
        items = iter([b"\xff", good, RouteRequest(min_revision=-1).SerializeToString(), good])
        answers = list(call(items, timeout=SECONDS, metadata=(("authorization", f"Bearer {token}"),)))
    assert [each.error.reason for each in answers] == ["INVALID_REQUEST", "", "INVALID_REQUEST", ""]
    assert [each.selected.model_id for each in answers] == ["", "p/m1", "", "p/m1"]
    world.service.app.decisions.flush()


def test_bad_items_of_a_batch_fail_alone_and_are_not_stored(world: World) -> None:
    before = world.stored
    asked = BatchSubmitFeedbackRequest(
        requests=[
            SubmitFeedbackRequest(message_id=world.message_id, rating=7),
            SubmitFeedbackRequest(message_id=MISSING, rating=1),
            SubmitFeedbackRequest(message_id=world.message_id, tenant_id=str(uuid4()), rating=1),
            SubmitFeedbackRequest(message_id=world.message_id),
        ]
    )
    answers = world.user.feedback.BatchSubmitFeedback(asked).feedback
    assert [each.error.reason for each in answers] == [
        "INVALID_REQUEST", "MESSAGE_NOT_FOUND", "TENANT_MISMATCH", "INVALID_REQUEST",
    ]  # fmt: skip
    assert {each.feedback_id for each in answers} == {""}
    assert world.stored == before


def test_a_request_that_is_too_big_for_the_server(world: World) -> None:
    before = world.stored
    with pytest.raises(ImrsError) as caught:
        route("coder", message="x" * (8 << 20))(world)
    assert caught.value.code is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert world.stored == before


def test_methods_that_there_are_not(world: World) -> None:
    bearer = f"Bearer {signed(world)}"
    for method in ("/imrs.v1.AdminService/NoSuch", "/imrs.v1.NoSuch/Get", "/x"):
        assert sent(world, bearer, method=method).code is grpc.StatusCode.UNIMPLEMENTED


def test_a_fault_of_ours_tells_its_id_only(service: Service, database: str) -> None:
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute("drop table feedback cascade")
    with pytest.raises(ImrsError) as caught:
        service.user.feedback.ListFeedback(ListFeedbackRequest())
    error = caught.value
    assert (error.code.name, error.reason) == ("INTERNAL", "INTERNAL")
    assert list(error.metadata) == ["error_id"]
    assert error.message == (
        f"Internal error {error.metadata['error_id']}. The server's log tells more under this id."
    )
