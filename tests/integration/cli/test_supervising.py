"""Who watches workers: what he does when they die, refuse or do not listen."""

from __future__ import annotations

import gc
import os
import resource
import signal
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest
import structlog
from grpc import StatusCode

from imrs_client import ImrsError
from imrs_server.cli import run_folder
from imrs_server.cli import workers as supervising
from imrs_server.cli.ending import Ending
from imrs_server.cli.ports import Reservation
from imrs_server.cli.worker import Given
from imrs_server.cli.workers import MOST_FALLS, Workers, WorkersFailed
from imrs_server.console.standing import Standing
from imrs_server.domain.principal import Role
from imrs_server.transport.tokens import issue
from imrs_server.wiring import trust
from tests.support import bodies, patience
from tests.support.processes import is_gone
from tests.support.schema import HERE
from tests.support.service import settings
from tests.support.waiting import eventually

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.conftest import Vault

# Of processes, each with its imports.
START_SECONDS = 60


@contextmanager
def meanwhile(act: Callable[[], None]) -> Iterator[Ending]:
    """The wish to end comes when ``act`` is done, which runs in a thread beside the caller."""
    failed: list[BaseException] = []

    def run() -> None:
        try:
            act()
        except BaseException as error:  # noqa: BLE001  (the test's thread tells it)
            failed.append(error)
        finally:
            os.kill(os.getpid(), signal.SIGTERM)

    with Ending() as ending:
        thread = threading.Thread(target=run)
        thread.start()
        try:
            yield ending
        finally:
            # Or its signal would end whoever is no longer prepared for it.
            thread.join()
    if failed:
        raise failed[0]


def seen(folder: Path, number: int, *, again: bool) -> list[int]:
    """The processes that held a place."""
    return [int(each.name.split("-")[1]) for each in folder.glob(f"{number}-*-{again}")]


def test_each_place_that_falls_empty_is_taken_again(tmp_path: Path) -> None:
    standing = Standing(2)
    buried: list[int] = []

    def act() -> None:
        eventually(lambda: standing.ready, START_SECONDS)
        [first] = seen(tmp_path, 0, again=False)
        os.kill(first, signal.SIGKILL)
        eventually(lambda: bool(seen(tmp_path, 0, again=True)) and standing.serving == 2, START_SECONDS)
        assert buried == [first]
        assert len(seen(tmp_path, 1, again=False)) == 1
        assert not seen(tmp_path, 1, again=True)

    with (
        meanwhile(act) as ending,
        Workers(bodies.steady, tmp_path, 2, standing=standing, bury=buried.append) as workers,
    ):
        workers.run(ending)
    assert all(is_gone(pid) for pid in (*seen(tmp_path, 0, again=True), *seen(tmp_path, 1, again=False)))


def test_who_reads_that_all_are_ready_finds_them_so(tmp_path: Path) -> None:
    standing, found = Standing(2), []

    def look(_logger: object, _method: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
        if event["event"] == "workers.ready":
            found.append(standing.ready)
        return event

    structlog.configure(processors=[look, *structlog.get_config()["processors"]])
    with (
        meanwhile(lambda: eventually(lambda: bool(found), START_SECONDS)) as ending,
        Workers(bodies.steady, tmp_path, 2, standing=standing) as workers,
    ):
        workers.run(ending)
    assert found == [True]


def test_a_stopped_worker_is_first_doubted_then_ended_and_replaced(tmp_path: Path) -> None:
    standing = Standing(2)

    def act() -> None:
        eventually(lambda: standing.ready, START_SECONDS)
        [first] = seen(tmp_path, 0, again=False)
        os.kill(first, signal.SIGSTOP)
        eventually(lambda: standing.serving == 1)
        assert not is_gone(first)
        eventually(lambda: bool(seen(tmp_path, 0, again=True)) and standing.serving == 2, START_SECONDS)
        assert is_gone(first)
        assert not seen(tmp_path, 1, again=True)

    with structlog.testing.capture_logs() as lines, meanwhile(act) as ending:
        supervise(bodies.beating, tmp_path, standing, ending)
    # Before, it may have been doubted for being slow.
    told = [each for each in lines if each["event"].startswith("worker.") and each["worker"] == 0]
    died = next(i for i, each in enumerate(told) if each["event"] == "worker.died")
    told = told[: died + 1][-3:]
    assert [each["event"] for each in told] == ["worker.silent", "worker.hung", "worker.died"]
    assert told[1]["state"] == "T (stopped)"
    assert told[1]["silent_seconds"] >= bodies.SILENCE_SECONDS


def supervise(body: Callable[..., None], given: object, standing: Standing, ending: Ending) -> None:
    with Workers(
        body, given, standing.workers, standing=standing, silence_seconds=bodies.SILENCE_SECONDS
    ) as workers:
        workers.run(ending)


def test_a_worker_that_goes_on_in_time_counts_again(tmp_path: Path) -> None:
    standing = Standing(2)

    def act() -> None:
        eventually(lambda: standing.ready, START_SECONDS)
        [first] = seen(tmp_path, 0, again=False)
        os.kill(first, signal.SIGSTOP)
        eventually(lambda: standing.serving == 1)
        os.kill(first, signal.SIGCONT)
        eventually(lambda: standing.serving == 2)
        assert not seen(tmp_path, 0, again=True)

    with structlog.testing.capture_logs() as lines, meanwhile(act) as ending:
        supervise(bodies.beating, tmp_path, standing, ending)
    told = [each["event"] for each in lines if each["event"].startswith("worker.") and each["worker"] == 0]
    assert told[-2:] == ["worker.silent", "worker.heard"]


def test_a_worker_whose_work_hangs_is_replaced_though_it_could_speak(tmp_path: Path) -> None:
    standing = Standing(1)

    def act() -> None:
        eventually(lambda: standing.ready, START_SECONDS)
        eventually(lambda: bool(seen(tmp_path, 0, again=True)) and standing.serving == 1, START_SECONDS)

    with meanwhile(act) as ending:
        supervise(bodies.stuck, tmp_path, standing, ending)


def test_a_system_that_has_no_room_for_a_process_is_asked_again_while_the_others_serve_on(
    tmp_path: Path,
) -> None:
    standing = Standing(2)

    def act() -> None:
        eventually(lambda: standing.ready, START_SECONDS)
        [first], [second] = (seen(tmp_path, number, again=False) for number in (0, 1))
        with no_more_files():
            os.kill(first, signal.SIGKILL)
            eventually(lambda: any(each["event"] == "worker.unstarted" for each in lines))
            eventually(lambda: standing.serving == 1)
        eventually(lambda: standing.serving == 2)
        assert seen(tmp_path, 1, again=False) == [second]
        assert not is_gone(second)

    with structlog.testing.capture_logs() as lines, meanwhile(act) as ending:
        supervise(bodies.beating, tmp_path, standing, ending)
    refused = next(each for each in lines if each["event"] == "worker.unstarted")
    assert refused["worker"] == 0
    assert "Too many open files" in refused["detail"]


@contextmanager
def no_more_files() -> Iterator[None]:
    """What this process has open is all that it may have."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    unused = os.dup(0)
    os.close(unused)
    # What is left to the collector would be closed meanwhile, and make room.
    gc.disable()
    resource.setrlimit(resource.RLIMIT_NOFILE, (unused, hard))
    try:
        yield
    finally:
        gc.enable()
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_a_worker_that_takes_no_calls_any_more_is_replaced_though_its_other_threads_go_on(
    database: str, vault: Vault
) -> None:
    standing = Standing(1)
    with Reservation("127.0.0.1:0") as port, run_folder.make() as folder:
        known = settings(
            database, vault, grpc_addr=port.address, worker_silence_seconds=bodies.SILENCE_SECONDS
        )
        given = Given(settings=known, workers=1, folder=folder, pinned=False)

        def act() -> None:
            eventually(lambda: standing.ready, START_SECONDS)
            token = issue(trust(known), roles=[Role.AGENT], subject="bot", tenant_id=HERE, agent_id="nobody")
            with patience.client(port.address, token) as client:
                with pytest.raises(ImrsError) as failed:
                    client.choose(timeout_seconds=1)
                assert failed.value.code is StatusCode.DEADLINE_EXCEEDED
                eventually(lambda: standing.serving == 0)
                eventually(lambda: standing.serving == 1, START_SECONDS)
                with pytest.raises(ImrsError, match="AGENT_NOT_FOUND"):
                    client.choose()

        with structlog.testing.capture_logs() as lines, meanwhile(act) as ending:
            supervise(bodies.unserved, given, standing, ending)
    assert [each["how"] for each in lines if each["event"] == "worker.died"] == ["by SIGKILL"]


def test_all_must_have_served_before_any_is_enough() -> None:
    standing = Standing(2)
    told = []
    for serving in (0, 1, 2, 1, 0, 1):
        standing.tell(serving)
        told.append(standing.ready)
    assert told == [False, False, True, True, False, True]


def test_a_worker_that_dies_at_once_again_and_again_is_given_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(supervising, "_FIRST_PAUSE_SECONDS", 0.001)
    standing = Standing(2)
    with (
        structlog.testing.capture_logs() as lines,
        Ending() as ending,
        pytest.raises(WorkersFailed) as caught,
        Workers(bodies.fleeting, tmp_path, 2, standing=standing) as workers,
    ):
        workers.run(ending)
    assert str(caught.value).startswith(
        f"worker 1 ended {MOST_FALLS} times in a row soon after its start, the last time by SIGKILL;"
    )
    assert (tmp_path / "starts").read_text() == "." * MOST_FALLS
    pauses = [each["restart_seconds"] for each in lines if each["event"] == "worker.died"]
    assert pauses == [0.001 * 2**n for n in range(MOST_FALLS - 1)]
    assert not standing.ready


def test_a_worker_that_lived_long_is_replaced_soon_and_never_given_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(supervising, "_FIRST_PAUSE_SECONDS", 0.001)

    def act() -> None:
        eventually(lambda: len((tmp_path / "starts").read_text()) > MOST_FALLS, 60)

    (tmp_path / "starts").touch()
    with (
        meanwhile(act) as ending,
        Workers(bodies.fleeting, tmp_path, 2, standing=Standing(2), settled_seconds=0) as workers,
    ):
        workers.run(ending)


def test_what_a_worker_refuses_for_is_told() -> None:
    with (
        Ending() as ending,
        pytest.raises(WorkersFailed, match="IMRS_X: not like this"),
        Workers(bodies.refusing, "IMRS_X: not like this", 1, standing=Standing(1)) as workers,
    ):
        workers.run(ending)


def test_a_worker_that_does_not_listen_is_ended_by_force(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supervising, "STOP_SECONDS", 0.2)
    standing = Standing(1)
    with (
        structlog.testing.capture_logs() as lines,
        meanwhile(lambda: eventually(lambda: standing.ready, START_SECONDS)) as ending,
        Workers(bodies.deaf, None, 1, standing=standing) as workers,
    ):
        workers.run(ending)
    [killed] = [each for each in lines if each["event"] == "worker.killed"]
    assert is_gone(killed["pid"])


def test_a_wish_to_end_that_came_before_starts_nobody() -> None:
    started: list[Any] = []
    with Ending() as ending:
        os.kill(os.getpid(), signal.SIGTERM)
        assert ending.wait(30)
        with Workers(bodies.steady, None, 1, standing=Standing(1), bury=started.append) as workers:
            workers.run(ending)
    assert not started
