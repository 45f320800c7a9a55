"""Commands that messages and docs name exist, with the options that they are shown with."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import click
import pytest

from imrs_client import v1 as pb
from imrs_server.cli import advice, main

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
DAILY = (
    "agents", "audit", "budgets", "decisions", "defaults", "endpoints", "feedback", "models", "preferences",
    "providers", "tenants", "tokens", "usage",
)  # fmt: skip
NAMED = re.compile(r"`imrs ([^`{]+)")
SHOWN = re.compile(r"^(?:\$ )?(?:IMRS_\w+=\S+ )*imrs ((?:.*\\\n)*.*)$", re.MULTILINE)


def said() -> list[str]:
    """What stands between backticks in the code of commands, or is shown as typed in a page."""
    code = [path.read_text(encoding="utf-8") for path in (ROOT / "imrs_server" / "cli").rglob("*.py")]
    pages = [path.read_text(encoding="utf-8") for path in PAGES]
    found = [each for text in (*code, *pages) for each in NAMED.findall(text)]
    return sorted({*found, *(each for text in pages for each in SHOWN.findall(text))})


def resolve(words: list[str]) -> tuple[click.Command, list[str]]:
    """The command that words name, and the words after its name."""
    command: click.Command = main
    rest = list(words)
    while isinstance(command, click.Group) and rest and not rest[0].startswith("-"):
        found = command.get_command(click.Context(command), rest[0])
        assert found is not None, f"imrs has no {' '.join(words)}"
        command, rest = found, rest[1:]
    return command, rest


@pytest.mark.parametrize("line", said())
def test_a_command_that_is_named_exists(line: str) -> None:
    command, rest = resolve(shlex.split(line, comments=True))
    options = {name for each in command.params for name in (*each.opts, *each.secondary_opts)}
    used = {each.partition("=")[0] for each in rest if re.match(r"--?[a-z]", each)}
    assert used <= options | {"--help"}


def test_the_page_names_every_command_of_daily_work() -> None:
    page = (ROOT / "docs" / "cli.md").read_text(encoding="utf-8")
    rows = dict(re.findall(r"^\| `imrs (\w+)` \| (.*) \|$", page, re.MULTILINE))
    for name in ("audit", "usage"):
        rows.pop(name)
    for name, told in rows.items():
        group, _ = resolve([name])
        assert isinstance(group, click.Group)
        assert set(re.findall(r"`([\w-]+)`", told)) == set(group.list_commands(click.Context(group)))
    assert set(rows) | {"audit", "usage"} == set(DAILY)


def test_advice_is_about_errors_that_there_are() -> None:
    assert set(advice._ADVICE) <= set(pb.ErrorReason.keys())


def test_every_option_and_command_says_what_it_is_for() -> None:
    def walk(command: click.Command, name: str) -> None:
        assert command.help, name
        for each in command.params:
            assert isinstance(each, click.Argument) or getattr(each, "help", None), f"{name} {each.name}"
        if isinstance(command, click.Group):
            for inner in command.list_commands(click.Context(command)):
                found = command.get_command(click.Context(command), inner)
                assert found is not None
                walk(found, f"{name} {inner}")

    for name in (*DAILY, "doctor"):
        walk(resolve([name])[0], name)
