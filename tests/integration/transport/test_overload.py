"""A server that is asked for more than it can do: it says so at once, and what it took on goes well."""

from __future__ import annotations

import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import grpc
import pytest
from google.rpc import error_details_pb2
from grpc_status import rpc_status

from imrs_client import v1 as pb
from imrs_client.health import Health
from imrs_server.domain.principal import Role
from imrs_server.transport.pools import ROUTE_THREADS, Limits
from imrs_server.transport.server import SERVICES, Server
from imrs_server.transport.tokens import Trust, Verifier, issue
from tests.support.schema import HERE
from tests.support.waiting import eventually

if TYPE_CHECKING:
    from collections.abc import Iterator

TRUST = Trust(secrets=(b"s" * 32,))
QUEUE = 4
ROOM = ROUTE_THREADS + QUEUE


class Slow(pb.RouteServiceServicer):
    """Answers when it is told to, and counts what it began."""

    def __init__(self) -> None:
        self.released = threading.Event()
        self.begun: list[None] = []

    def Route(self, request: Any, context: Any) -> Any:
        self.begun.append(None)
        self.released.wait(110)
        return pb.Decision(request_id=request.request_id)

    def StreamRoutes(self, request_iterator: Any, context: Any) -> Any:
        return (pb.Decision(request_id=each.request_id) for each in request_iterator)


@contextmanager
def served(slow: Slow, **limits: int) -> Iterator[Server]:
    servicers: dict[str, object] = {name: base() for name, (base, _) in SERVICES.items()}
    servicers["imrs.v1.RouteService"] = slow
    server = Server(
        "127.0.0.1:0",
        verifier=Verifier(TRUST),
        servicers=servicers,
        with_reflection=True,
        limits=Limits(**limits),
    )
    server.start()
    server.ready(serving=True)
    try:
        yield server
    finally:
        slow.released.set()
        server.stop(5)


@pytest.fixture
def metadata() -> tuple[tuple[str, str], ...]:
    token = issue(TRUST, roles=[Role.AGENT], subject="a", tenant_id=HERE, agent_id="a")
    return (("authorization", f"Bearer {token}"),)


def reason(error: grpc.RpcError) -> tuple[grpc.StatusCode, str, float]:
    """Status code, reason, and in how many seconds to try again."""
    status = rpc_status.from_call(error)  # type: ignore[arg-type]  # it is a Call too
    info, retry = error_details_pb2.ErrorInfo(), error_details_pb2.RetryInfo()
    assert status.details[0].Unpack(info)
    assert status.details[1].Unpack(retry)
    return error.code(), info.reason, retry.retry_delay.ToTimedelta().total_seconds()


OVERLOADED = (grpc.StatusCode.RESOURCE_EXHAUSTED, "OVERLOADED", 0.5)


def test_what_has_no_room_is_refused_at_once_and_the_rest_is_served(metadata: Any) -> None:
    slow = Slow()
    with served(slow, route=QUEUE) as server, grpc.insecure_channel(f"127.0.0.1:{server.port}") as channel:
        stub = pb.RouteServiceStub(channel)
        taken = [
            stub.Route.future(pb.RouteRequest(request_id=str(n)), metadata=metadata) for n in range(ROOM)
        ]
        eventually(lambda: server.calls_in_hand["route"] == ROOM)
        # Ten times as much as there is room for, also of who has no token: nothing is looked at.
        for n in range(10 * ROOM):
            with pytest.raises(grpc.RpcError) as raised:
                stub.Route(pb.RouteRequest(), metadata=metadata if n % 2 else (), timeout=60)
            assert reason(raised.value) == OVERLOADED
        eventually(lambda: len(slow.begun) >= ROUTE_THREADS)
        assert len(slow.begun) == ROUTE_THREADS
        # Others have pools of their own, and health is never refused.
        assert next(stub.StreamRoutes(iter([pb.RouteRequest(request_id="s")]), metadata=metadata)).request_id
        health = Health(f"127.0.0.1:{server.port}")
        assert health.is_serving(timeout_seconds=20)
        health.close()
        slow.released.set()
        assert [each.result(60).request_id for each in taken] == [str(n) for n in range(ROOM)]
        eventually(lambda: server.calls_in_hand["route"] == 0)
        assert stub.Route(pb.RouteRequest(request_id="again"), metadata=metadata).request_id == "again"


def test_calls_that_their_callers_gave_up_make_room(metadata: Any) -> None:
    slow = Slow()
    with served(slow, route=QUEUE) as server, grpc.insecure_channel(f"127.0.0.1:{server.port}") as channel:
        stub = pb.RouteServiceStub(channel)
        taken = [stub.Route.future(pb.RouteRequest(), metadata=metadata) for _ in range(ROOM)]
        eventually(lambda: server.calls_in_hand["route"] == ROOM)
        for each in taken:
            each.cancel()
        slow.released.set()
        eventually(lambda: server.calls_in_hand["route"] == 0)
        assert stub.Route(pb.RouteRequest(request_id="next"), metadata=metadata).request_id == "next"


def test_streams_beyond_the_limit_are_refused_and_ended_ones_make_room(metadata: Any) -> None:
    with (
        served(Slow(), streams=1) as server,
        grpc.insecure_channel(f"127.0.0.1:{server.port}") as channel,
    ):
        stub = pb.RouteServiceStub(channel)
        end = threading.Event()

        def requests() -> Iterator[pb.RouteRequest]:
            yield pb.RouteRequest(request_id="1")
            end.wait(60)

        stream = stub.StreamRoutes(requests(), metadata=metadata)
        assert next(stream).request_id == "1"
        with pytest.raises(grpc.RpcError) as raised:
            next(stub.StreamRoutes(iter([pb.RouteRequest()]), metadata=metadata))
        assert reason(raised.value) == OVERLOADED
        end.set()
        assert list(stream) == []
        eventually(lambda: server.calls_in_hand["stream"] == 0)
        assert next(stub.StreamRoutes(iter([pb.RouteRequest(request_id="2")]), metadata=metadata)).request_id


def test_health_answers_in_time_while_many_more_ask_than_are_served(metadata: Any) -> None:
    """Ten callers for each place, without a pause: each is answered or refused, and health is on time."""
    slow, over = Slow(), threading.Event()
    slow.released.set()
    with served(slow, route=0) as server:

        def ask(_number: int) -> Counter[str]:
            seen: Counter[str] = Counter()
            with grpc.insecure_channel(f"127.0.0.1:{server.port}") as channel:
                stub = pb.RouteServiceStub(channel)
                while not over.is_set():
                    try:
                        stub.Route(pb.RouteRequest(), metadata=metadata, timeout=60)
                        seen["OK"] += 1
                    except grpc.RpcError as error:
                        seen[reason(error)[1]] += 1
            return seen

        with ThreadPoolExecutor(10 * ROUTE_THREADS) as callers:
            asking = [callers.submit(ask, n) for n in range(10 * ROUTE_THREADS)]
            try:
                eventually(lambda: len(slow.begun) > 50)
                health = Health(f"127.0.0.1:{server.port}")
                for _ in range(20):
                    assert health.is_serving(timeout_seconds=30)
                health.close()
            finally:
                over.set()
            seen = sum((each.result() for each in asking), Counter[str]())
        assert seen["OK"] > 50
        assert set(seen) <= {"OK", "OVERLOADED"}
