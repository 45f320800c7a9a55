"""The threads of a pool: how many calls they take, and that each is told of when it has ended."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, NoReturn

import pytest
import structlog

from imrs_server.transport import pool as pools
from imrs_server.transport.pool import AtOnce, Pool
from tests.support.threads import hold
from tests.support.waiting import eventually

if TYPE_CHECKING:
    from collections.abc import Iterator

    from imrs_server.transport.pool import Task


@pytest.fixture
def released() -> Iterator[threading.Event]:
    event = threading.Event()
    yield event
    event.set()


def awaited(task: Task) -> bool:
    ended = threading.Event()
    task.add_done_callback(lambda _: ended.set())
    return ended.wait(30)


def test_a_pool_is_full_when_its_threads_and_its_queue_are(released: threading.Event) -> None:
    with Pool("test", 2, 1) as pool:
        for most in range(3):
            assert (pool.in_hand, pool.full) == (most, False)
            pool.submit(released.wait, 30)
        assert (pool.in_hand, pool.full) == (3, True)
        released.set()
        eventually(lambda: pool.in_hand == 0)
        assert not pool.full


def test_a_call_that_fails_makes_room_is_told_of_and_costs_no_thread() -> None:
    def leave() -> NoReturn:
        raise SystemExit

    with Pool("test", 1, 1) as pool, structlog.testing.capture_logs() as lines:
        assert awaited(pool.submit(int, "nonsense"))
        assert awaited(pool.submit(leave))
        assert pool.in_hand == 0
        assert awaited(pool.submit(int, "7"))
    assert [line["event"] for line in lines] == ["pool.failed", "pool.failed"]


def test_a_listener_that_fails_keeps_nobody_from_being_told(released: threading.Event) -> None:
    def fail(_task: Task) -> NoReturn:
        raise ValueError

    with Pool("test", 1, 1) as pool, structlog.testing.capture_logs() as lines:
        task = pool.submit(released.wait, 30)
        task.add_done_callback(fail)
        waiting = threading.Event()
        task.add_done_callback(lambda _: waiting.set())
        released.set()
        assert waiting.wait(30)
        assert awaited(pool.submit(int))
    assert [line["event"] for line in lines] == ["pool.untold"]


def test_every_listener_is_told_once_whenever_it_comes() -> None:
    told: list[int] = []
    with Pool("test", 4, None) as pool:
        for number in range(2000):
            pool.submit(int).add_done_callback(lambda _, number=number: told.append(number))  # type: ignore[misc]
    eventually(lambda: len(told) == 2000)
    assert sorted(told) == list(range(2000))


def test_threads_start_only_as_they_are_needed(released: threading.Event) -> None:
    def started() -> set[str]:
        return {each.name for each in threading.enumerate() if each.name.startswith("lazy_")}

    with Pool("lazy", 3, None) as pool:
        for _ in range(20):
            assert awaited(pool.submit(int))
        assert started() == {"lazy_0"}
        pool.submit(released.wait, 30)
        assert awaited(pool.submit(int))
        assert started() == {"lazy_0", "lazy_1"}
        released.set()


def test_a_system_without_room_for_a_thread_leaves_the_call_to_those_there_are(
    monkeypatch: pytest.MonkeyPatch, released: threading.Event
) -> None:
    start = threading.Thread.start

    def refused(thread: threading.Thread) -> None:
        if not thread.name.startswith("short_"):  # of somebody else
            start(thread)
            return
        msg = "can't start new thread"
        raise RuntimeError(msg)

    # However long the machine takes for the calls that come in the same second.
    monkeypatch.setattr(pools, "AGAIN_SECONDS", 3600.0)
    with Pool("short", 2, None) as pool, structlog.testing.capture_logs() as lines:
        pool.submit(released.wait, 30)
        with monkeypatch.context() as patch:
            patch.setattr(threading.Thread, "start", refused)
            waiting = pool.submit(int)
            others = [pool.submit(int) for _ in range(3)]
        assert pool.in_hand == 5
        released.set()
        assert all(map(awaited, (waiting, *others)))
    # Asked for once, however many calls come in the same second; and no stack of the thread that takes calls.
    assert lines == [{"event": "pool.short", "log_level": "warning", "pool": "short", "threads": 1}]


def test_what_waits_at_the_end_is_done_unless_it_is_cancelled(released: threading.Event) -> None:
    done: list[str] = []
    kept, left = Pool("kept", 1, None), Pool("left", 1, None)
    for pool in (kept, left):
        hold(pool, released)
        last = pool.submit(done.append, pool.name)
        pool.shutdown(wait=False, cancel_futures=pool is left)
    assert awaited(last)
    assert left.in_hand == 1
    released.set()
    kept.shutdown()
    left.shutdown()
    assert done == ["kept"]
    assert kept.in_hand == left.in_hand == 0


def test_what_comes_after_the_end_is_refused_and_not_counted() -> None:
    pool = Pool("test", 1, 0)
    pool.shutdown()
    with pytest.raises(RuntimeError, match="test"):
        pool.submit(print)
    assert pool.in_hand == 0


def test_the_end_may_come_twice(released: threading.Event) -> None:
    pool = Pool("test", 2, None)
    pool.submit(released.wait, 30)
    pool.shutdown(wait=False)
    pool.shutdown(wait=False, cancel_futures=True)
    released.set()
    pool.shutdown()
    assert pool.in_hand == 0


def test_at_once_is_done_by_who_submits() -> None:
    ran: list[int] = []
    pool = AtOnce(1)
    assert awaited(pool.submit(lambda: ran.append(threading.get_ident())))
    assert ran == [threading.get_ident()]
    with structlog.testing.capture_logs() as lines:
        assert awaited(pool.submit(int, "nonsense"))
    assert [line["event"] for line in lines] == ["pool.failed"]
