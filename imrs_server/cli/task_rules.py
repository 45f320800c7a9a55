"""Options of rules of task detection, entry by entry over the built-in ones."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import click

from imrs_client import v1 as pb
from imrs_server.cli import arguments

if TYPE_CHECKING:
    from collections.abc import Sequence

    from imrs_server.cli.resource import Decorator


def _entries(_context: click.Context, option: click.Parameter, given: Sequence[str]) -> dict[str, str]:
    """NAME=TASK; without a task a built-in entry of this name holds no longer."""
    return dict(arguments.split(option, given, "NAME=TASK", at_last=True))


def _words(_context: click.Context, option: click.Parameter, given: Sequence[str]) -> dict[str, Any]:
    """TASK=PHRASE, all phrases of a task together; without a phrase none of the built-in ones hold."""
    found: dict[str, Any] = {}
    for task_type, phrase in arguments.split(option, given, "TASK=PHRASE"):
        found.setdefault(task_type, pb.StringList()).values.extend([phrase] if phrase else [])
    return found


OPTIONS: Final[dict[str, Decorator]] = {
    "task_rules.tools": click.option(
        "--tool", "tools", multiple=True, callback=_entries, metavar="TOOL=TASK",
        help="A tool that tells the task; without a task it tells none.",
    ),
    "task_rules.mime_types": click.option(
        "--mime", "mime_types", multiple=True, callback=_entries, metavar="TYPE=TASK",
        help="Likewise an attachment, such as image/* or .tf.",
    ),
    "task_rules.words": click.option(
        "--words", multiple=True, callback=_words, metavar="TASK=PHRASE",
        help="What speaks for a task, in place of all that did; several are all of them.",
    ),
}  # fmt: skip
