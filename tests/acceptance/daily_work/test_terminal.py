"""How commands speak: help, refusals, colours and progress."""

from __future__ import annotations

import os
import pty
import re
import subprocess
import sys
import termios
from contextlib import suppress
from typing import TYPE_CHECKING

from click.testing import CliRunner

from imrs_client.ids import new_id
from imrs_server.cli import main
from imrs_server.domain.principal import Role
from tests.support.tables_of_cli import rows

if TYPE_CHECKING:
    from collections.abc import Callable

    from click.testing import Result

    from imrs_client import v1 as pb
    from tests.support.service import Service


def test_every_command_has_help() -> None:
    runner = CliRunner()
    listed = runner.invoke(main, ["--help"]).stdout
    context = main.make_context("imrs", ["usage"])
    for name in main.list_commands(context):
        assert f"  {name} " in listed
        assert runner.invoke(main, [name, "--help"]).exit_code == 0


def test_what_is_refused_says_what_to_do(run: Callable[..., Result], shared_service: Service) -> None:
    unknown = run("providers", "show", "nobody")
    assert unknown.exit_code == 1
    assert unknown.stderr.splitlines()[-1] == "See `imrs providers list`."
    user = shared_service.token(Role.USER)
    assert "ROLE_REQUIRED" in run("models", "list", token=user).stderr
    assert run("agents", "list", "--state", "purple").exit_code == 2
    assert run("providers", "set-key", "x", typed="").exit_code == 2


def test_without_a_token_it_is_said_where_one_is() -> None:
    for variables, said in (
        ({"IMRS_TOKEN_TENANT_ADMIN": "t"}, "IMRS_TOKEN=$IMRS_TOKEN_TENANT_ADMIN"),
        ({}, "IMRS_TOKEN=$(imrs token --role platform_admin)"),
    ):
        empty = dict.fromkeys(("IMRS_TOKEN", "IMRS_TOKEN_TENANT_ADMIN"))
        result = CliRunner().invoke(main, ["models", "list"], env=empty | variables)
        assert result.exit_code == 2
        assert said in " ".join(result.stderr.split())


def test_a_stranger_sees_nothing_of_another_tenant(
    run: Callable[..., Result], shared_service: Service, decided: pb.Decision
) -> None:
    other = new_id()
    token = shared_service.token(Role.TENANT_ADMIN, tenant_id=other)
    for words in (["agents", "list"], ["decisions", "list"], ["feedback", "list"]):
        assert rows(run(*words, "--csv", "--tenant", str(other), token=token)) == []


def on_a_terminal(service: Service, *words: str, stdout: bool) -> tuple[str, str]:
    """What a command writes to its two outputs, standard error a terminal, standard output one or not."""
    ours, theirs = pty.openpty()
    termios.tcsetwinsize(theirs, (24, 80))
    variables = {
        "IMRS_ADDRESS": service.app.address,
        "IMRS_TOKEN": service.token(Role.PLATFORM_ADMIN),
        "TERM": "xterm",
    }
    with subprocess.Popen(
        [sys.executable, "-m", "imrs_server", *words],
        stdin=subprocess.DEVNULL,
        stdout=theirs if stdout else subprocess.PIPE,
        stderr=theirs,
        env=os.environ | variables,
    ) as process:
        os.close(theirs)
        written = process.stdout.read().decode() if process.stdout else ""
        seen = b""
        # Linux ends a terminal that nobody writes to any more with EIO.
        with suppress(OSError):
            while more := os.read(ours, 65_536):
                seen += more
    os.close(ours)
    return written, seen.decode()


def test_a_terminal_gets_colours_and_rows_of_one_line(shared_service: Service, decided: pb.Decision) -> None:
    _, seen = on_a_terminal(shared_service, "providers", "list", stdout=True)
    rows = [re.sub(r"\x1b\[[0-9;]*m", "", line) for line in seen.splitlines()]
    assert "\x1b[32mACTIVE\x1b[0m" in seen
    assert any(row.startswith("seen ") for row in rows)
    assert all(len(row) <= 80 for row in rows)


def test_an_export_shows_its_progress_beside(shared_service: Service, decided: pb.Decision) -> None:
    written, seen = on_a_terminal(shared_service, "models", "list", "--csv", stdout=False)
    assert "seen/only" in written
    assert "reading" in seen
    assert "reading" not in written
