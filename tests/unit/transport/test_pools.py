"""Which pool serves what, and what happens when all of its threads are busy."""

from __future__ import annotations

import threading

from imrs_server.transport.access import ROLES
from imrs_server.transport.pools import ROUTE_THREADS, Limits, Pools
from tests.support.waiting import eventually


def test_what_may_wait_never_shares_threads_with_route() -> None:
    pools = Pools(Limits())
    served = {
        name: pools.of(f"/imrs.v1.{service}/{name}").name for service in ROLES for name in ROLES[service]
    }
    assert {name for name, pool in served.items() if pool == "route"} == {
        "Route", "BatchRoute", "DetectTask", "ExplainRoute"
    }  # fmt: skip
    assert served["SubmitFeedback"] == "feedback"
    assert served["SyncProvider"] == served["LoadEndpoint"] == "sync"
    assert served["StreamRoutes"] == "stream"
    assert served["Complete"] == served["Embed"] == "complete"
    assert pools.of("/grpc.health.v1.Health/Check").name == "health"
    assert pools.of("/grpc.reflection.v1.ServerReflection/ServerReflectionInfo").name == "reflection"
    pools.close()


def test_streams_beyond_their_limit_do_not_wait() -> None:
    pools = Pools(Limits(streams=1))
    streams = pools.of("/imrs.v1.RouteService/StreamRoutes")
    released = threading.Event()
    streams.submit(released.wait, 30)
    assert streams.full
    assert not pools.of("/grpc.health.v1.Health/Check").full
    released.set()
    pools.close()


def test_a_turn_comes_when_a_thread_of_route_is_free() -> None:
    pools = Pools(Limits())
    released = threading.Event()
    for _ in range(ROUTE_THREADS):
        pools.route.submit(released.wait, 30)
    waiting = threading.Thread(target=pools.await_turn)
    waiting.start()
    eventually(lambda: pools.route.in_hand == ROUTE_THREADS + 1)
    assert waiting.is_alive()
    released.set()
    waiting.join(30)
    assert not waiting.is_alive()
    pools.close()


def test_nobody_waits_for_a_turn_at_the_end() -> None:
    pools = Pools(Limits())
    released = threading.Event()
    for _ in range(ROUTE_THREADS):
        pools.route.submit(released.wait, 30)
    waiting = threading.Thread(target=pools.await_turn)
    waiting.start()
    eventually(lambda: pools.route.in_hand == ROUTE_THREADS + 1)
    pools.close()
    waiting.join(30)
    assert not waiting.is_alive()
    pools.await_turn()
    released.set()
