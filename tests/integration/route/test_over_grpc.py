"""Routing as a caller sees it: the real server on a port, behind its guard."""

from __future__ import annotations

from datetime import UTC
from typing import TYPE_CHECKING

import grpc
import pytest
from google.rpc import error_details_pb2
from grpc_status import rpc_status

from imrs_client import v1 as pb
from imrs_client.ids import time_of
from imrs_server.domain.principal import Role
from imrs_server.transport.paging import Pager
from imrs_server.transport.server import SERVICES, Server
from imrs_server.transport.servicers.route import RouteServicer
from imrs_server.transport.tokens import Trust, Verifier, issue
from imrs_server.transport.watch.hub import Hub
from imrs_server.use_cases.decisions import Decisions
from imrs_server.use_cases.replay import Replays
from imrs_server.use_cases.reports import DecisionReports
from imrs_server.use_cases.watched import WatchedAgents
from tests.support.completions import without_keys
from tests.support.schema import HERE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from imrs_server.index.warm import Index
    from imrs_server.jobs.decision_log import DecisionLog
    from imrs_server.storage.database import Database
    from imrs_server.use_cases.route import Router
    from tests.support.world import World

    Metadata = tuple[tuple[str, str], ...]

TRUST = Trust(secrets=(b"s" * 32,))


@pytest.fixture
def port(db: Database, index: Index, router: Router, decision_log: DecisionLog) -> Iterator[int]:
    servicers = {name: base() for name, (base, _) in SERVICES.items()}
    servicers["imrs.v1.RouteService"] = RouteServicer(
        router=router,
        decisions=Decisions(db, decision_log.flush),
        replays=Replays(db, index, decision_log.flush),
        watched=WatchedAgents(index),
        hub=Hub(index, Verifier(TRUST).bearer),
        reports=DecisionReports(db, index),
        completions=without_keys(db, index, router),
        pager=Pager(b"p" * 32),
    )
    server = Server("127.0.0.1:0", verifier=Verifier(TRUST), servicers=servicers, with_reflection=False)
    server.start()
    yield server.port
    server.stop(0)


@pytest.fixture
def channel(port: int) -> Iterator[grpc.Channel]:
    with grpc.insecure_channel(f"127.0.0.1:{port}") as opened:
        yield opened


@pytest.fixture
def stub(channel: grpc.Channel) -> pb.RouteServiceStub:
    return pb.RouteServiceStub(channel)


def bearer(role: Role, agent_id: str | None = None) -> Metadata:
    token = issue(TRUST, roles=[role], subject=f"a {role}", tenant_id=HERE, agent_id=agent_id)
    return (("authorization", f"Bearer {token}"),)


AGENT = bearer(Role.AGENT, "a")
ADMIN = bearer(Role.TENANT_ADMIN)


def refusal(call: Callable[[], object]) -> tuple[grpc.StatusCode, error_details_pb2.ErrorInfo]:
    """Status and ErrorInfo of a call that must fail."""
    with pytest.raises(grpc.RpcError) as raised:
        call()
    status = rpc_status.from_call(raised.value)  # type: ignore[arg-type]  # it is a Call too
    info = error_details_pb2.ErrorInfo()
    assert status.details[0].Unpack(info)
    return raised.value.code(), info


def test_a_decision_says_all_that_a_call_of_the_model_needs(stub: pb.RouteServiceStub) -> None:
    request = pb.RouteRequest(
        message="review this python script",
        required_capabilities=["text"],
        parameters=pb.Parameters(temperature=0.5, stop=pb.StringList()),
        max_fallbacks=1,
        request_id="r-1",
        conversation_id="c-1",
    )
    made = stub.Route(request, metadata=AGENT)
    assert (made.tenant_id, made.agent_id, made.request_id) == (str(HERE), "a", "r-1")
    assert made.task == pb.TaskDetection(
        task_type="code",
        confidence=pb.TaskDetection.MEDIUM,
        source=pb.TaskDetection.KEYWORD,
        alternatives=["analysis"],
    )
    assert (made.reason, made.candidates_total, made.candidates_eligible) == (pb.Decision.SCORE, 3, 3)
    assert made.create_time.ToDatetime(UTC) == time_of(made.decision_id)
    selected = made.selected
    assert (selected.model_id, selected.provider_id, selected.external_id) == ("p/high", "p", "high")
    assert (selected.provider_type, selected.api_base) == (pb.Provider.CUSTOM, "https://llm.example/v1")
    assert (selected.api_key_vault_path, selected.credentials_ok) == ("secret/llm/p", True)
    assert selected.priority == 60
    assert selected.score == pytest.approx(0.6)
    assert selected.parameters == pb.Parameters(temperature=0.5, stop=pb.StringList())
    assert [each.model_id for each in made.fallbacks] == ["p/mid"]
    assert not made.HasField("propensity")
    assert not made.candidates
    again = stub.Route(pb.RouteRequest(max_fallbacks=0), metadata=AGENT)
    assert not again.fallbacks
    assert not again.selected.parameters.HasField("temperature")


def test_an_explanation_has_every_candidate(world: World, stub: pb.RouteServiceStub) -> None:
    request = pb.RouteRequest(required_capabilities=["code"], task_type="code")
    told = {each.model_id: each for each in stub.ExplainRoute(request, metadata=AGENT).candidates}
    assert told["p/low"].removed_by == pb.CandidateReport.CAPABILITY
    assert told["p/low"].detail == "lacks code"
    best = told["p/high"]
    assert (best.eligible, best.removed_by, best.level) == (True, 0, pb.CandidateReport.PRIOR)
    assert best.priority_term == pytest.approx(0.3 * 0.6)
    assert best.experience_term == pytest.approx(0.7 * 0.6)
    assert best.score == pytest.approx(0.6)


def test_an_explanation_of_nothing_left_selects_nothing(world: World, stub: pb.RouteServiceStub) -> None:
    request = pb.RouteRequest(excluded_models=["p/*"], request_id="r")
    explained = stub.ExplainRoute(request, metadata=AGENT)
    assert not explained.HasField("selected")
    assert (explained.reason, explained.request_id) == (pb.Decision.REASON_UNSPECIFIED, "r")
    assert (explained.candidates_total, explained.candidates_eligible) == (3, 0)
    assert {each.removed_by for each in explained.candidates} == {pb.CandidateReport.EXCLUDED}


def test_detection_alone(stub: pb.RouteServiceStub) -> None:
    request = pb.DetectTaskRequest(tools_used=["code_execute"], attachments=[pb.Attachment(filename="a.png")])
    found = stub.DetectTask(request, metadata=AGENT)
    assert (found.task_type, found.confidence) == ("code", pb.TaskDetection.HIGH)
    assert list(found.required_capabilities) == ["vision", "function_calling"]
    assert list(found.alternatives) == ["image"]


def test_each_failure_has_its_status_and_reason(stub: pb.RouteServiceStub) -> None:
    def route(metadata: Metadata = AGENT, **fields: object) -> tuple[str, str]:
        code, info = refusal(
            lambda: stub.Route(pb.RouteRequest(**fields), metadata=metadata)  # type: ignore[arg-type]  # any
        )
        return code.name, info.reason

    assert route(ADMIN, agent_id="none") == ("NOT_FOUND", "AGENT_NOT_FOUND")
    assert route(agent_id="b") == ("PERMISSION_DENIED", "AGENT_MISMATCH")
    assert route(tenant_id="22222222-2222-7222-8222-222222222222") == ("PERMISSION_DENIED", "TENANT_MISMATCH")
    assert route(min_revision=10**6) == ("UNAVAILABLE", "REVISION_NOT_REACHED")
    assert route(ADMIN) == ("INVALID_ARGUMENT", "INVALID_REQUEST")
    assert route(bearer(Role.USER)) == ("PERMISSION_DENIED", "ROLE_REQUIRED")
    assert route(allowed_models=pb.StringList()) == ("FAILED_PRECONDITION", "NO_ELIGIBLE_MODEL")
    _, info = refusal(
        lambda: stub.Route(pb.RouteRequest(model_type=pb.Model.IMAGE), metadata=AGENT),
    )
    assert dict(info.metadata) == {"agent_id": "a", "MODEL_TYPE": "3"}


def test_items_of_a_batch_are_answered_in_order_and_fail_alone(stub: pb.RouteServiceStub) -> None:
    requests = [
        pb.RouteRequest(request_id="good"),
        pb.RouteRequest(request_id="other", agent_id="b"),
        pb.RouteRequest(request_id="bad", task_type="NOT A TASK"),
        pb.RouteRequest(request_id="early", min_revision=10**6),
        pb.RouteRequest(request_id="nothing", excluded_models=["*"]),
        pb.RouteRequest(request_id="good too"),
    ]
    found = stub.BatchRoute(pb.BatchRouteRequest(requests=requests), metadata=AGENT).decisions
    assert [each.request_id for each in found] == [each.request_id for each in requests]
    assert [each.error.reason for each in found] == [
        "",
        "AGENT_MISMATCH",
        "INVALID_REQUEST",
        "REVISION_NOT_REACHED",
        "NO_ELIGIBLE_MODEL",
        "",
    ]
    failed = found[4]
    assert (failed.error.code, failed.error.metadata["EXCLUDED"]) == (9, "3")
    assert failed == pb.Decision(request_id="nothing", error=failed.error)


def test_items_of_a_stream_are_answered_in_order_and_fail_alone(
    channel: grpc.Channel, stub: pb.RouteServiceStub
) -> None:
    requests = [
        pb.RouteRequest(request_id="1"),
        pb.RouteRequest(task_type="NOT A TASK"),
        pb.RouteRequest(request_id="3"),
    ]
    found = list(stub.StreamRoutes(iter(requests), metadata=AGENT))
    assert [each.error.reason for each in found] == ["", "INVALID_REQUEST", ""]
    raw = channel.stream_stream(
        "/imrs.v1.RouteService/StreamRoutes",
        request_serializer=bytes,
        response_deserializer=pb.Decision.FromString,
    )
    answers = list(raw(iter([b"\xff\xff", requests[0].SerializeToString()]), metadata=AGENT))
    assert [each.error.reason for each in answers] == ["INVALID_REQUEST", ""]


def test_decisions_are_read_and_listed_by_pages(stub: pb.RouteServiceStub) -> None:
    made = [stub.Route(pb.RouteRequest(task_type="code"), metadata=AGENT) for _ in range(3)]
    kept = stub.GetDecision(pb.GetDecisionRequest(decision_id=made[0].decision_id), metadata=ADMIN)
    assert (kept.task.task_type, kept.reason, kept.create_time) == (
        "code",
        pb.Decision.SCORE,
        made[0].create_time,
    )
    assert (kept.selected.model_id, kept.selected.score) == ("p/high", made[0].selected.score)
    assert [each.model_id for each in kept.fallbacks] == ["p/mid", "p/low"]
    request = pb.ListDecisionsRequest(page_size=2, agent_id="a", reason=pb.Decision.SCORE)
    page = stub.ListDecisions(request, metadata=ADMIN)
    assert page.total_size == 3
    request.page_token = page.next_page_token
    rest = stub.ListDecisions(request, metadata=ADMIN)
    assert rest.next_page_token == ""
    found = [each.decision_id for each in (*page.decisions, *rest.decisions)]
    assert found == [each.decision_id for each in reversed(made)]
    unknown = pb.GetDecisionRequest(decision_id="0199f3a0-0000-7000-8000-000000000000")
    code, info = refusal(lambda: stub.GetDecision(unknown, metadata=ADMIN))
    assert (code.name, info.reason) == ("NOT_FOUND", "DECISION_NOT_FOUND")


def test_malformed_decisions_are_not_accepted_and_the_others_are(
    stub: pb.RouteServiceStub, world: World
) -> None:
    good = stub.Route(pb.RouteRequest(task_type="code"), metadata=AGENT)
    other = pb.Decision()
    other.CopyFrom(good)
    other.selected.model_id = "nothing"
    request = pb.RecordDecisionsRequest(decisions=[good, other, pb.Decision()])
    assert stub.RecordDecisions(request, metadata=AGENT).accepted_count == 1
    assert refusal(lambda: stub.RecordDecisions(request, metadata=ADMIN))[1].reason == "ROLE_REQUIRED"
    assert refusal(lambda: stub.RecordDecisions(request, metadata=bearer(Role.AGENT, "b")))[1].reason == (
        "AGENT_MISMATCH"
    )
