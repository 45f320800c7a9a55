"""What the pages show of a terminal is what happens: each session is typed, in the order of its page."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from google.protobuf.field_mask_pb2 import FieldMask

from imrs_client.v1 import Defaults, UpdateDefaultsRequest
from tests.support.dev import Dev, running
from tests.support.model_server import model_server
from tests.support.waiting import eventually

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

DOCS = Path(__file__).parents[2] / "docs"
MODEL_SERVER = "http://127.0.0.1:11434"
FENCED = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
COMMAND = re.compile(r"\$ ((?:.*\\\n)*.*)\n?")
EXPORT = re.compile(r"export IMRS_TOKEN=\$(IMRS_TOKEN_\w+)")
ID = re.compile(r"[0-9a-f]{8}-[0-9a-f-]{27}")
# Ids, times and counts differ each time, and with them the widths of columns.
VARIABLE = re.compile(rf"{ID.pattern}|\d[\d,.]*")
READS = re.compile(r"imrs (agents models|decisions explain|\w+ list|defaults show|audit|config plan)\b")
SPACE = re.compile(r" {2,}")


@dataclass(frozen=True, slots=True)
class Step:
    """A command, what the page shows of its answer, and who types it."""

    typed: str
    shown: str
    token: str


def steps(page: str) -> list[Step]:
    """Every command behind a ``$`` of a page; it is typed with the token that was exported last."""
    text = (DOCS / page).read_text(encoding="utf-8")
    found: list[Step] = []
    for block in FENCED.finditer(text):
        if block[1]:
            continue
        exported = EXPORT.findall(text[: block.start()])
        commands = map(COMMAND.match, re.split(r"^(?=\$ )", block[2], flags=re.MULTILINE))
        token = exported[-1] if exported else ""
        found += [Step(each[1], each.string[each.end() :], token) for each in commands if each]
    return found


def plain(text: str) -> str:
    return SPACE.sub(" ", VARIABLE.sub("N", text))


def is_shown(shown: str, printed: str) -> bool:
    """Whether a page shows what was printed; a line of three dots stands for any lines."""
    lines = [".*" if line == "..." else re.escape(line) for line in plain(shown).strip().splitlines()]
    return re.fullmatch(r"\n?".join(lines), plain(printed).strip(), re.DOTALL) is not None


def once_shown(play: Callable[[], str], shown: str) -> str:
    """What is printed when that is what the page shows; or, where it never is, what was printed last."""
    printed = ""

    def appears() -> bool:
        nonlocal printed
        printed = play()
        return is_shown(shown, printed)

    with suppress(AssertionError):
        eventually(appears, 60)
    return printed


@pytest.fixture(scope="module")
def own_dev(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Dev]:
    """One that nobody else talks to, as the pages have it after `make run`."""
    with running(tmp_path_factory.mktemp("pages") / "data") as found:
        found.await_ready()
        yield found


@pytest.fixture
def tidy_dev(own_dev: Dev) -> Dev:
    """The same, where the tenant has no defaults: pages show all that there are, each its own."""
    none = Defaults(scope=Defaults.Scope.TENANT)
    mask = FieldMask(paths=["parameters", "routing", "task_rules"])
    with own_dev.client("TENANT_ADMIN") as tenant:
        tenant.admin.UpdateDefaults(UpdateDefaultsRequest(defaults=none, update_mask=mask))
        own_dev.settled(tenant)
    return own_dev


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where commands are typed: with `imrs` as a program, and the files that the pages speak of."""
    program = tmp_path / "bin" / "imrs"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\nexec {sys.executable} -m imrs_server "$@"\n', encoding="utf-8")
    program.chmod(0o755)
    (tmp_path / "key").write_text("sk-secret\n", encoding="utf-8")
    example = next(body for kind, body in FENCED.findall((DOCS / "config.md").read_text()) if kind == "yaml")
    (tmp_path / "models.yaml").write_text(example, encoding="utf-8")
    bad = next(step for step in steps("config.md") if step.typed == "cat bad.yaml")
    (tmp_path / "bad.yaml").write_text(bad.shown, encoding="utf-8")
    return tmp_path


def of_the_installation(step: Step) -> bool:
    """Not what looks at the machine, or needs another server than this one."""
    return not step.typed.startswith(("imrs doctor", "imrs serve"))


@pytest.mark.parametrize(
    ("page", "token", "count"),
    [
        ("cli.md", "", 22),
        ("tasks.md", "IMRS_TOKEN_TENANT_ADMIN", 1),
        ("config.md", "IMRS_TOKEN_PLATFORM_ADMIN", 7),
    ],
)
def test_a_page_shows_what_happens(tidy_dev: Dev, folder: Path, page: str, token: str, count: int) -> None:
    """``token`` is whose it is where the page says so in words alone."""
    told = [step for step in steps(page) if of_the_installation(step)]
    assert len(told) == count
    with model_server() as address:
        # What stands here for what the page names.
        names = {MODEL_SERVER: address}

        def play(step: Step) -> str:
            typed = step.typed
            for there, here in names.items():
                typed = typed.replace(there, here)
            variables = tidy_dev.variables | {"PATH": f"{folder / 'bin'}:{os.environ['PATH']}"}
            done = subprocess.run(
                ["sh", "-c", typed],
                cwd=folder, env=os.environ | variables | {"IMRS_TOKEN": variables[step.token or token]},
                input="y\n", stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False,
            )  # fmt: skip
            # What answers a question is not echoed where it is not typed at a terminal.
            return done.stdout.replace(address, MODEL_SERVER).replace("[y/N]: ", "[y/N]: y\n")

        for step in told:
            # The server may not have heard yet of what was changed a moment ago.
            reads = READS.match(step.typed)
            printed = once_shown(partial(play, step), step.shown) if reads else play(step)
            assert is_shown(step.shown, printed), f"{step.typed}\n{printed}"
            # An id that was told is typed later on.
            names |= dict(zip(ID.findall(step.shown), ID.findall(printed), strict=True))
