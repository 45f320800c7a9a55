"""FeedbackService as a caller sees it: the real server on a port, behind its guard."""

from __future__ import annotations

from typing import TYPE_CHECKING

import grpc
import pytest
from google.rpc import error_details_pb2
from grpc_status import rpc_status

from imrs_client import v1 as pb
from imrs_client.ids import new_id
from imrs_server.domain.principal import Role
from imrs_server.transport.call import REVISION
from imrs_server.transport.paging import Pager
from imrs_server.transport.server import SERVICES, Server
from imrs_server.transport.servicers.feedback import FeedbackServicer
from imrs_server.transport.tokens import Trust, Verifier, issue
from tests.support.schema import ELSEWHERE, HERE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from uuid import UUID

    from tests.integration.feedback.conftest import World

    Metadata = tuple[tuple[str, str], ...]

TRUST = Trust(secrets=(b"s" * 32,))


@pytest.fixture
def service(world: World) -> Iterator[pb.FeedbackServiceStub]:
    servicers = {name: base() for name, (base, _) in SERVICES.items()}
    servicers["imrs.v1.FeedbackService"] = FeedbackServicer(
        world.messages, world.feedback, world.performance, world.usage, Pager(b"p" * 32)
    )
    server = Server("127.0.0.1:0", verifier=Verifier(TRUST), servicers=servicers, with_reflection=False)
    server.start()
    with grpc.insecure_channel(f"127.0.0.1:{server.port}") as channel:
        yield pb.FeedbackServiceStub(channel)
    server.stop(0)


def bearer(role: Role, tenant_id: UUID | None = HERE, agent_id: str | None = None) -> Metadata:
    token = issue(TRUST, roles=[role], subject=f"a {role}", tenant_id=tenant_id, agent_id=agent_id)
    return (("authorization", f"Bearer {token}"),)


ADMIN = bearer(Role.TENANT_ADMIN)
AGENT = bearer(Role.AGENT, agent_id="a")
USER = bearer(Role.USER)


def refusal(call: Callable[[], object]) -> tuple[str, str]:
    """Status and reason of a call that must fail."""
    with pytest.raises(grpc.RpcError) as raised:
        call()
    status = rpc_status.from_call(raised.value)  # type: ignore[arg-type]  # it is a Call too
    info = error_details_pb2.ErrorInfo()
    assert status.details[0].Unpack(info)
    return raised.value.code().name, info.reason


def recorded(service: pb.FeedbackServiceStub, **fields: object) -> pb.Message:
    message = pb.Message(model_id="p/m", task_type="code", **fields)  # type: ignore[arg-type]
    return service.RecordMessage(pb.RecordMessageRequest(message=message), metadata=AGENT)


def test_a_call_is_recorded_rated_listed_and_rated_no_more(service: pb.FeedbackServiceStub) -> None:
    message = recorded(
        service,
        tools_used=["file_read"],
        latency_ms=120,
        prompt_tokens=1000,
        completion_tokens=100,
        cached_tokens=400,
        outcome=pb.Message.OK,
    )
    assert (message.agent_id, message.tenant_id, message.token_count) == ("a", str(HERE), 1100)
    assert (message.cost_usd, message.cost_priced, message.outcome) == ("0.0024", True, pb.Message.OK)
    assert not message.HasField("rating")

    request = pb.SubmitFeedbackRequest(
        message_id=message.message_id, signal=pb.Feedback.THUMBS_UP, request_id="k"
    )
    vote, call = service.SubmitFeedback.with_call(request, metadata=USER)
    assert (vote.rating, vote.feedback_type, vote.user_id) == (1.0, pb.Feedback.EXPLICIT, "a user")
    assert (vote.agent_id, vote.model_id, vote.pending) == ("a", "p/m", False)
    assert int(dict(call.trailing_metadata())[REVISION]) > 0
    assert service.SubmitFeedback(request, metadata=USER) == vote
    assert recorded(service, message_id=message.message_id).rating == 1.0

    seen = service.ListFeedback(pb.ListFeedbackRequest(), metadata=AGENT)
    assert (list(seen.feedback), seen.total_size, seen.next_page_token) == ([vote], 1, "")
    [row] = service.ListPerformance(pb.ListPerformanceRequest(task_type="code"), metadata=ADMIN).performance
    assert (row.model_id, row.task_type, row.avg_rating, row.usage_count) == ("p/m", "code", 1.0, 1)
    assert [each.rating_count for each in row.trend] == [1]

    revoked = service.RevokeFeedback(
        pb.RevokeFeedbackRequest(feedback_id=vote.feedback_id), metadata=bearer(Role.TENANT_ADMIN)
    )
    assert revoked.HasField("revoke_time")


def test_the_agent_of_a_vote_that_waits_is_not_told(service: pb.FeedbackServiceStub) -> None:
    request = pb.SubmitFeedbackRequest(
        message_id=str(new_id()), signal=pb.Feedback.EVALUATION, rating=0.5, user_id="uma"
    )
    vote = service.SubmitFeedback(request, metadata=AGENT)
    assert (vote.pending, vote.agent_id, vote.user_id) == (True, "", "uma")
    assert vote.feedback_type == pb.Feedback.SELF_EVAL


@pytest.mark.parametrize(
    ("fields", "metadata", "expected"),
    [
        ({"rating": float("nan")}, USER, ("INVALID_ARGUMENT", "INVALID_REQUEST")),
        ({"rating": 1.5}, USER, ("INVALID_ARGUMENT", "INVALID_REQUEST")),
        ({}, USER, ("INVALID_ARGUMENT", "INVALID_REQUEST")),
        ({"rating": 1.0, "signal": "COPY"}, USER, ("INVALID_ARGUMENT", "INVALID_REQUEST")),
        ({"signal": "COPY", "feedback_type": "EXPLICIT"}, USER, ("INVALID_ARGUMENT", "INVALID_REQUEST")),
        ({"signal": "COPY", "message_id": "x"}, USER, ("INVALID_ARGUMENT", "INVALID_REQUEST")),
        ({"signal": "COPY", "message_id": str(ELSEWHERE)}, USER, ("NOT_FOUND", "MESSAGE_NOT_FOUND")),
        ({"signal": "COPY", "tenant_id": str(ELSEWHERE)}, ADMIN, ("PERMISSION_DENIED", "TENANT_MISMATCH")),
        ({"signal": "COPY"}, bearer(Role.PLATFORM_ADMIN, None), ("INVALID_ARGUMENT", "INVALID_REQUEST")),
    ],
)
def test_refused_votes_have_their_reason_and_leave_nothing(
    service: pb.FeedbackServiceStub,
    world: World,
    fields: dict[str, object],
    metadata: Metadata,
    expected: tuple[str, str],
) -> None:
    request = pb.SubmitFeedbackRequest(**{"message_id": str(new_id()), **fields})  # type: ignore[arg-type]
    assert refusal(lambda: service.SubmitFeedback(request, metadata=metadata)) == expected
    assert world.query("select from feedback") == []


def test_a_bad_item_of_a_batch_fails_alone(service: pb.FeedbackServiceStub) -> None:
    requests = [
        pb.RecordMessageRequest(message=pb.Message(model_id=model_id)) for model_id in ("p/m", "p/none", "p/")
    ]
    recorded = service.BatchRecordMessages(
        pb.BatchRecordMessagesRequest(requests=requests), metadata=AGENT
    ).messages
    assert [each.error.reason for each in recorded] == ["", "MODEL_NOT_FOUND", "INVALID_REQUEST"]
    assert recorded[1].error.metadata["model_id"] == "p/none"
    assert recorded[1] == pb.Message(error=recorded[1].error)

    votes = [
        pb.SubmitFeedbackRequest(message_id=each, signal=pb.Feedback.COPY)
        for each in (recorded[0].message_id, str(ELSEWHERE))
    ]
    answers = service.BatchSubmitFeedback(
        pb.BatchSubmitFeedbackRequest(requests=votes), metadata=AGENT
    ).feedback
    assert [(each.rating, each.error.reason) for each in answers] == [(1.0, ""), (0.0, "MESSAGE_NOT_FOUND")]


def test_usage_by_model_with_its_totals(service: pb.FeedbackServiceStub) -> None:
    for model_id, tokens in (("p/m", 1000), ("p/n", 10)):
        message = pb.Message(
            agent_id="a", model_id=model_id, prompt_tokens=tokens, latency_ms=200, tokens_estimated=True
        )
        recorded = service.RecordMessage(pb.RecordMessageRequest(message=message), metadata=ADMIN)
        assert recorded.tokens_estimated
    found = service.GetUsage(pb.GetUsageRequest(group_by=["model", "provider"]), metadata=ADMIN)
    dear, unpriced = found.usages
    assert dict(dear.group) == {"model": "p/m", "provider": "p"}
    assert (dear.cost_usd, dear.unpriced_calls, dear.total_tokens) == ("0.002", 0, 1000)
    assert dict(unpriced.group) == {"model": "p/n", "provider": "p"}
    assert (unpriced.cost_usd, unpriced.unpriced_calls) == ("", 1)
    totals = found.totals
    assert (totals.calls, totals.estimated_calls, totals.prompt_tokens, totals.cost_usd) == (
        2,
        2,
        1010,
        "0.002",
    )
    assert (totals.avg_latency_ms, totals.p95_latency_ms, dict(totals.group)) == (200, 200, {})
    bad = pb.GetUsageRequest(group_by=["colour"])
    assert refusal(lambda: service.GetUsage(bad, metadata=ADMIN)) == ("INVALID_ARGUMENT", "INVALID_REQUEST")
