"""Which pool serves what, and what happens when all of its threads are busy."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import structlog

from imrs_server.transport import pools as pools_module
from imrs_server.transport.access import ROLES
from imrs_server.transport.pools import ROUTE_THREADS, Limits, Pools
from tests.support.threads import hold, no_more_threads
from tests.support.waiting import eventually

if TYPE_CHECKING:
    import pytest


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
    closing = threading.Thread(target=pools.close)
    closing.start()
    waiting.join(30)
    assert not waiting.is_alive()
    pools.await_turn()
    released.set()
    closing.join(30)
    assert not closing.is_alive()


def test_the_first_thread_of_a_pool_comes_when_the_system_has_room_again() -> None:
    """No further call to that pool is needed; who waits for a turn, as a worker's pulse does, sees to it."""
    pools = Pools(Limits())
    done = threading.Event()
    with no_more_threads():
        pools.of("/imrs.v1.AdminService/GetAgent").submit(done.set)
        pools.route.submit(int)

    def is_done_at_a_later_turn() -> bool:
        pools.await_turn()
        return done.is_set()

    eventually(is_done_at_a_later_turn)
    pools.close()


def test_the_end_waits_for_what_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    """A call that was cut has yet to store what it came to."""
    monkeypatch.setattr(pools_module, "_LAST_SECONDS", 60.0)
    pools = Pools(Limits())
    runs = threading.Event()
    stored: list[str] = []

    def hear_of_the_end() -> None:
        runs.set()
        eventually(lambda: is_closed(pools))
        stored.append("message")

    pools.of("/imrs.v1.RouteService/Complete").submit(hear_of_the_end)
    assert runs.wait(30)
    pools.close()
    assert stored == ["message"]


def test_the_end_does_not_wait_for_what_never_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pools_module, "_LAST_SECONDS", 0.1)
    pools = Pools(Limits())
    released = threading.Event()
    for service in ("RouteService/Complete", "AdminService/GetAgent"):
        hold(pools.of(f"/imrs.v1.{service}"), released)
    with structlog.testing.capture_logs() as lines:
        closing = threading.Thread(target=pools.close)
        closing.start()
        closing.join(30)
        assert not closing.is_alive()
    assert [(each["event"], each["in_hand"]) for each in lines] == [
        ("calls.left", {"admin": 1, "complete": 1})
    ]
    released.set()


def is_closed(pools: Pools) -> bool:
    try:
        pools.route.submit(int)
    except RuntimeError:
        return True
    return False
