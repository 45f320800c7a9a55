"""Nothing outlives the process that started it, however that one ends."""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any

import psycopg
import pytest

from imrs_server.embedded import account
from imrs_server.embedded.openbao import OpenBao
from imrs_server.embedded.postgres import Postgres
from imrs_server.embedded.process import Account, Process, StartError
from tests.support.processes import is_gone, parents

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

STARTER = """\
import json, os, sys, time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from imrs_server.embedded.openbao import OpenBao
from imrs_server.embedded.postgres import Postgres

folder = Path(sys.argv[1])
servers = [Postgres(folder / "postgres", namespaces=sys.argv[2] == "namespace"), OpenBao(folder / "openbao")]
with ThreadPoolExecutor() as starters:  # threads end, and what they started must not end with them
    list(starters.map(lambda server: server.start(), servers))
told = {"uid": os.geteuid(), "pid": os.getpid(), "pids": [server.pid for server in servers]}
told_path = folder / "told.new"
told_path.write_text(json.dumps(told))
told_path.rename(folder / "told.json")
while True:
    time.sleep(3600)
"""
LIMIT_SECONDS = 60


def until(condition: Callable[[], Any], what: str) -> Any:
    deadline = time.monotonic() + LIMIT_SECONDS
    while not (answer := condition()):
        assert time.monotonic() < deadline, what
        time.sleep(0.02)
    return answer


def lineage(pid: int) -> list[int]:
    """The process, its supervisor and its children."""
    known = parents()
    return [pid, known[pid], *(child for child, parent in known.items() if parent == pid)]


@contextmanager
def starter(folder: Path, way: str, run_as: Account) -> Iterator[dict[str, Any]]:
    """A Python process that started both servers and now waits; `run_as` is its account."""
    program = folder / "starter.py"
    program.write_text(STARTER)
    lock = os.open(folder / "starter.lock", os.O_CREAT | os.O_RDWR)
    process = Process(
        sys.executable,
        program,
        folder,
        way,
        log=folder / "starter.log",
        cwd=folder,
        lock=lock,
        account=run_as,
    )
    try:
        process.await_ready(lambda: (folder / "told.json").exists() or None, seconds=LIMIT_SECONDS)
        yield json.loads((folder / "told.json").read_text())
    finally:
        process.stop()
        os.close(lock)


def ordinary_user() -> Account:
    uid, gid = account.stranger()
    return Account(way="uid", uid=uid, gid=gid)


WAYS = {
    "namespace": ("namespace", Account),
    "dropped": ("dropped", Account),
    "ordinary user": ("namespace", ordinary_user),
}


@pytest.mark.parametrize("way", WAYS)
def test_kill_9_of_the_starter_leaves_nothing_running(way: str, tmp_path: Path) -> None:
    namespaces, make_account = WAYS[way]
    if os.geteuid() != 0 and way != "namespace":
        pytest.skip("an ordinary user has one way only")
    run_as = make_account()
    account.give(tmp_path, run_as)
    with starter(tmp_path, namespaces, run_as) as told:
        assert (told["uid"] == 0) == (os.geteuid() == 0 and way != "ordinary user")
        pids = [pid for server in told["pids"] for pid in lineage(server)]
        assert len(pids) > 8
        os.kill(told["pid"], signal.SIGKILL)
        until(lambda: all(map(is_gone, pids)), "the servers outlived their starter")


def test_a_start_right_after_kill_9_waits_for_the_old_servers_and_finds_their_data(tmp_path: Path) -> None:
    with starter(tmp_path, "namespace", Account()) as told:
        os.kill(told["pid"], signal.SIGKILL)
        until(lambda: is_gone(told["pid"]), "the starter is not gone")
        with Postgres(tmp_path / "postgres") as postgres, OpenBao(tmp_path / "openbao") as openbao:
            with psycopg.connect(postgres.dsn) as tx:
                assert tx.execute("select 1").fetchone() == (1,)
            assert openbao.call("GET", "sys/seal-status")["sealed"] is False


@pytest.mark.skipif(sys.platform != "linux", reason="needs the kernel's help")
@pytest.mark.parametrize("way", ["namespace", "ordinary user"])
def test_kill_9_of_a_supervisor_takes_its_program_along(way: str, tmp_path: Path) -> None:
    namespaces, make_account = WAYS[way]
    if os.geteuid() != 0 and way != "namespace":
        pytest.skip("an ordinary user has one way only")
    run_as = make_account()
    account.give(tmp_path, run_as)
    with starter(tmp_path, namespaces, run_as) as told:
        families = [lineage(server) for server in told["pids"]]
        for _, supervisor, *_ in families:
            os.kill(supervisor, signal.SIGKILL)
        until(
            lambda: all(is_gone(pid) for family in families for pid in family),
            "a program outlived its supervisor",
        )


def test_a_program_that_does_not_listen_is_killed(tmp_path: Path) -> None:
    with sleeper(
        tmp_path, "trap '' TERM; echo deaf; while :; do sleep 1; done", grace_seconds=0.2
    ) as process:
        until(lambda: "deaf" in (tmp_path / "log").read_text(), "the program did not start")
        process.stop()
        assert is_gone(process.pid)
        assert not process.running


def test_a_stopped_program_can_be_ended(tmp_path: Path) -> None:
    with sleeper(tmp_path, "echo up; while :; do sleep 1; done") as process:
        until(lambda: "up" in (tmp_path / "log").read_text(), "the program did not start")
        os.kill(process.pid, signal.SIGSTOP)
        process.stop()
        assert is_gone(process.pid)


def test_the_exit_status_of_a_program_is_passed_on(tmp_path: Path) -> None:
    with sleeper(tmp_path, "exit 7") as process:
        assert process.wait(LIMIT_SECONDS) == 7
    with sleeper(tmp_path, "kill -9 $$") as process:
        assert process.wait(LIMIT_SECONDS) == 128 + 9


def test_a_program_that_ends_too_early_says_its_last_words(tmp_path: Path) -> None:
    with (
        sleeper(tmp_path, "echo cannot open the door; exit 1") as process,
        pytest.raises(StartError, match="ended during its start: cannot open the door"),
    ):
        process.await_ready(lambda: None, seconds=LIMIT_SECONDS)


def test_a_program_that_is_not_there_is_named(tmp_path: Path) -> None:
    with (
        open_lock(tmp_path) as lock,
        pytest.raises(StartError, match=r"nobody did not start: .*No such file"),
    ):
        Process(tmp_path / "nobody", log=tmp_path / "log", cwd=tmp_path, lock=lock)


def test_a_program_sees_none_of_our_variables(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PGDATA", "/nowhere")
    monkeypatch.setenv("BAO_TOKEN", "sentinel")
    with sleeper(tmp_path, "env") as process:
        assert process.wait(LIMIT_SECONDS) == 0
    shown = (tmp_path / "log").read_text()
    assert "TZ=UTC" in shown
    assert "PGDATA" not in shown
    assert "sentinel" not in shown


@contextmanager
def open_lock(folder: Path) -> Iterator[int]:
    lock = os.open(folder / "lock", os.O_CREAT | os.O_RDWR)
    yield lock
    os.close(lock)


@contextmanager
def sleeper(folder: Path, script: str, **options: Any) -> Iterator[Process]:
    with ExitStack() as stack:
        lock = stack.enter_context(open_lock(folder))
        process = Process("/bin/sh", "-c", script, log=folder / "log", cwd=folder, lock=lock, **options)
        stack.callback(process.stop)
        yield process
