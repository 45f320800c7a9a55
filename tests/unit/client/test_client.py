from __future__ import annotations

import time
import uuid
from contextlib import suppress
from functools import partial
from itertools import count, islice
from queue import Queue
from typing import TYPE_CHECKING, Any

import grpc
import pytest

import imrs_client
from imrs_client import ImrsClient, v1
from tests.support import patience
from tests.support.waiting import eventually
from tests.unit.client.conftest import status

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.unit.client.conftest import Service

UNAVAILABLE = grpc.StatusCode.UNAVAILABLE


@pytest.fixture
def client(service: Service) -> Iterator[ImrsClient]:
    with patience.client(service.address, "secret") as found:
        yield found


def test_a_choice_carries_the_token_and_the_fields(client: ImrsClient, service: Service) -> None:
    decision = client.choose(agent_id="a", message="write a function", min_revision=7)
    assert decision.agent_id == "a"
    [(request, metadata)] = service.seen
    assert request == v1.RouteRequest(agent_id="a", message="write a function", min_revision=7)
    assert metadata["authorization"] == "Bearer secret"
    assert metadata["user-agent"].startswith("imrs-client/")


def test_a_token_may_be_asked_for_at_every_call(service: Service) -> None:
    numbers = count()
    with patience.client(service.address, lambda: f"t{next(numbers)}") as client:
        client.choose()
        list(client.admin.SyncProvider(v1.SyncProviderRequest()))
    assert [metadata["authorization"] for _, metadata in service.seen] == ["Bearer t0", "Bearer t1"]


def test_what_the_caller_sends_along_stays(client: ImrsClient, service: Service) -> None:
    client.route.Route(v1.RouteRequest(), metadata=(("x-request-id", "r1"),), timeout=2)
    assert service.seen[0][1]["x-request-id"] == "r1"


def test_the_tenant_goes_into_every_request_that_has_none(service: Service) -> None:
    with patience.client(service.address, "secret", tenant_id="t1") as client:
        mine = v1.RouteRequest(agent_id="a")
        assert client.route.Route(mine).tenant_id == "t1"
        assert mine.tenant_id == "", "the caller's own request must stay as it is"
        assert client.choose(tenant_id="t2").tenant_id == "t2"
        client.route.BatchRoute(v1.BatchRouteRequest(requests=[mine, v1.RouteRequest(tenant_id="t2")]))
        assert [each.tenant_id for each in service.seen[-1][0].requests] == ["t1", "t2"]
        assert [d.tenant_id for d in client.route.StreamRoutes(iter([mine, mine]))] == ["t1", "t1"]
        next(client.route.Complete(v1.CompleteRequest()))
        assert service.seen[-1][0].route.tenant_id == "t1"
        client.catalog.ListModels(v1.ListModelsRequest(page_size=1))


def test_failures_are_typed_and_tell_all(client: ImrsClient, service: Service) -> None:
    service.failures.append(status(grpc.StatusCode.NOT_FOUND, "AGENT_NOT_FOUND", agent_id="a"))
    with pytest.raises(imrs_client.NotFound) as caught:
        client.choose(agent_id="a")
    error = caught.value
    assert (error.code, error.reason, error.message) == (
        grpc.StatusCode.NOT_FOUND,
        "AGENT_NOT_FOUND",
        "in words",
    )
    assert error.metadata == {"agent_id": "a"}
    assert error.violations == (imrs_client.Violation("agent_id", "must be set"),)
    assert error.retry_after_seconds == 1.5
    assert str(error) == "AGENT_NOT_FOUND: in words; agent_id: must be set"
    assert isinstance(error.__cause__, grpc.RpcError)


def test_a_reason_of_another_domain_is_not_ours(client: ImrsClient, service: Service) -> None:
    service.failures.append(status(grpc.StatusCode.PERMISSION_DENIED, "ROLE_REQUIRED", domain="proxy.test"))
    with pytest.raises(imrs_client.PermissionDenied) as caught:
        client.choose()
    assert caught.value.reason == ""


@pytest.mark.parametrize("code", [code for code in grpc.StatusCode if code is not grpc.StatusCode.OK])
def test_every_code_becomes_an_imrs_error(
    client: ImrsClient, service: Service, code: grpc.StatusCode
) -> None:
    service.failures.extend(status(code, "INTERNAL") for _ in range(5))
    with pytest.raises(imrs_client.ImrsError) as caught:
        client.choose()
    assert caught.value.code is code


def test_a_stream_raises_typed_errors_where_it_breaks(client: ImrsClient) -> None:
    events = client.route.Complete(v1.CompleteRequest())
    assert next(events).delta.content == "half"
    with pytest.raises(imrs_client.Unavailable) as caught:
        next(events)
    assert caught.value.reason == "PROVIDER_UNAVAILABLE"


def test_a_stream_can_be_cancelled(client: ImrsClient, service: Service) -> None:
    decisions = client.route.StreamRoutes(v1.RouteRequest(agent_id="a") for _ in count())
    assert len(list(islice(decisions, 3))) == 3
    decisions.cancel()
    with pytest.raises(imrs_client.Cancelled):
        list(decisions)


def test_futures_and_with_call_work_and_raise_typed_errors(client: ImrsClient, service: Service) -> None:
    called: Queue[Any] = Queue()
    slow = client.route.Route.future(v1.RouteRequest(agent_id="slow"))
    slow.add_done_callback(called.put)
    assert not slow.done()
    service.release.set()
    assert slow.result(timeout=20).agent_id == "slow"
    assert called.get(timeout=20) is slow
    decision, call = client.route.Route.with_call(v1.RouteRequest(agent_id="a"))
    assert (decision.agent_id, call.code()) == ("a", grpc.StatusCode.OK)
    service.failures.append(status(grpc.StatusCode.ABORTED, "ETAG_MISMATCH"))
    failed = client.route.Route.future(v1.RouteRequest())
    with pytest.raises(imrs_client.Aborted):
        failed.result(timeout=20)
    assert isinstance(failed.exception(), imrs_client.Aborted)


def test_what_may_be_repeated_is_while_the_server_is_unavailable(
    client: ImrsClient, service: Service
) -> None:
    service.failures.extend(status(UNAVAILABLE, "DATABASE_UNAVAILABLE") for _ in range(2))
    assert client.choose(agent_id="a").agent_id == "a"
    assert len(service.seen) == 3
    service.failures.append(status(UNAVAILABLE, "DATABASE_UNAVAILABLE"))
    assert len(list(client.admin.SyncProvider(v1.SyncProviderRequest(provider_id="p")))) == 5
    assert len(service.seen) == 5


def test_what_acts_twice_is_not_repeated(client: ImrsClient, service: Service) -> None:
    service.failures.append(status(UNAVAILABLE, "DATABASE_UNAVAILABLE"))
    with pytest.raises(imrs_client.Unavailable):
        client.admin.CreateAgent(v1.CreateAgentRequest())
    assert len(service.seen) == 1


@pytest.mark.parametrize("code", [grpc.StatusCode.RESOURCE_EXHAUSTED, grpc.StatusCode.ABORTED])
def test_only_unavailable_is_repeated(client: ImrsClient, service: Service, code: grpc.StatusCode) -> None:
    service.failures.append(status(code, "OVERLOADED"))
    with pytest.raises(imrs_client.ImrsError):
        client.choose()
    assert len(service.seen) == 1


def test_a_repeated_feedback_has_the_same_key_and_a_new_one_another(
    client: ImrsClient, service: Service
) -> None:
    service.failures.append(status(UNAVAILABLE, "DATABASE_UNAVAILABLE"))
    feedback = client.rate("m1", 0.5, comment="so so")
    client.rate("m1", signal=v1.Feedback.COPY)
    client.rate("m1", request_id="mine")
    keys = [request.request_id for request, _ in service.seen]
    assert keys[0] == keys[1] != keys[2]
    assert keys[3] == "mine"
    assert uuid.UUID(keys[0]).version == 7
    assert (feedback.message_id, feedback.rating) == ("m1", 0.5)
    assert service.seen[0][0].comment == "so so"
    assert not service.seen[2][0].HasField("rating")


def test_every_item_of_a_batch_gets_its_key(client: ImrsClient, service: Service) -> None:
    requests = [
        v1.SubmitFeedbackRequest(message_id="m1"),
        v1.SubmitFeedbackRequest(message_id="m2", request_id="k"),
    ]
    client.feedback.BatchSubmitFeedback(v1.BatchSubmitFeedbackRequest(requests=requests))
    first, second = service.seen[0][0].requests
    assert uuid.UUID(first.request_id)
    assert second.request_id == "k"
    assert requests[0].request_id == ""


def test_a_route_request_id_is_the_callers_own(client: ImrsClient, service: Service) -> None:
    client.choose()
    assert service.seen[0][0].request_id == ""


def test_a_message_is_recorded(client: ImrsClient, service: Service) -> None:
    message = client.record(decision_id="d1", latency_ms=12, outcome=v1.Message.OK)
    assert message == v1.Message(decision_id="d1", latency_ms=12, outcome=v1.Message.OK)
    assert uuid.UUID(service.seen[0][0].request_id)


def test_every_call_has_a_deadline(service: Service) -> None:
    """That of the call, that which the client was told, or that of its method."""
    timeouts_seconds = {"CreateAgent": 300, "Complete": None}
    with ImrsClient(service.address, token="t", timeouts_seconds=timeouts_seconds) as client:
        client.wait_until_ready(20)
        start = time.monotonic()
        client.choose(timeout_seconds=700)
        client.admin.CreateAgent(v1.CreateAgentRequest())
        list(client.admin.SyncProvider(v1.SyncProviderRequest()))
        client.catalog.ListModels(v1.ListModelsRequest(page_size=7))
        next(client.route.Complete(v1.CompleteRequest()))
    # The deadline travels rounded, and part of it has passed on arrival.
    late_seconds = time.monotonic() - start + 0.5
    *told_seconds, endless_seconds = service.deadlines_seconds
    for expected, told in zip([700, 300, 60, 10], told_seconds, strict=True):
        assert expected - late_seconds < told < 1.01 * expected + 0.5
    assert endless_seconds > 1e6


@pytest.mark.parametrize(
    ("call", "timeout_seconds"),
    [
        (ImrsClient.choose, 1),
        (partial(ImrsClient.rate, message_id="m1", rating=0.5), 2),
        (partial(ImrsClient.record, decision_id="d1"), 2),
    ],
)
def test_what_agents_call_all_the_time_ends_soon(
    service: Service, call: Callable[[ImrsClient], object], timeout_seconds: float
) -> None:
    with ImrsClient(service.address, token="t") as client:
        client.wait_until_ready(20)

        def arrives() -> bool:
            # On a slow machine its time may be over before.
            with suppress(imrs_client.DeadlineExceeded):
                call(client)
            return bool(service.deadlines_seconds)

        eventually(arrives)
    assert max(service.deadlines_seconds) <= timeout_seconds + 0.5


def test_a_call_that_nobody_answers_ends_at_its_deadline(service: Service) -> None:
    with ImrsClient(service.address, token="t") as client:
        client.wait_until_ready(20)
        with pytest.raises(imrs_client.DeadlineExceeded) as caught:
            client.choose(agent_id="slow")
    assert caught.value.reason == ""
    assert max(service.deadlines_seconds, default=0) <= 1.5


def test_a_timeout_for_no_method_is_refused() -> None:
    with pytest.raises(ValueError, match="Rout"):
        ImrsClient("127.0.0.1:1", token="t", timeouts_seconds={"Rout": 1})


def test_pages_are_read_when_needed(client: ImrsClient, service: Service) -> None:
    request = v1.ListModelsRequest(page_size=3)
    models = client.paginate(client.catalog.ListModels, request)
    assert [model.model_id for model in islice(models, 3)] == ["p/0", "p/1", "p/2"]
    assert len(service.seen) == 1
    assert [model.model_id for model in models] == ["p/3", "p/4", "p/5", "p/6"]
    assert len(service.seen) == 3
    assert request.page_token == ""


def test_the_highest_revision_of_a_write_is_remembered(client: ImrsClient, service: Service) -> None:
    assert client.last_revision == 0
    service.revision = 41
    client.admin.CreateAgent(v1.CreateAgentRequest())
    assert client.last_revision == 41
    service.revision = 40
    client.admin.CreateAgent(v1.CreateAgentRequest())
    assert client.last_revision == 41
    service.revision = 43
    list(client.admin.SyncProvider(v1.SyncProviderRequest()))
    assert client.last_revision == 43
    service.revision = 44
    client.admin.CreateAgent.future(v1.CreateAgentRequest()).result(timeout=20)
    assert client.last_revision == 44


def test_a_server_that_is_not_there_is_unavailable(client: ImrsClient) -> None:
    with ImrsClient("127.0.0.1:1", token="t") as nobody:
        with pytest.raises(imrs_client.Unavailable):
            nobody.admin.CreateAgent(v1.CreateAgentRequest())
        with pytest.raises(TimeoutError):
            nobody.wait_until_ready(0.1)
