"""How a plan looks: for people, for programs, and as a patch."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

import click
from google.protobuf import json_format

from imrs_client import v1 as pb
from imrs_server.cli.output.text import harmless

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from google.protobuf.struct_pb2 import Value

UNCHANGED, DIFFERENT, FAILED = 0, 2, 1
"""Exit codes of commands that compare."""

_Action = pb.PlannedChange.Action
_MARKS: Final = {_Action.CREATE: "+", _Action.UPDATE: "~", _Action.DELETE: "-"}
_COLOURS: Final = {_Action.CREATE: "green", _Action.UPDATE: "yellow", _Action.DELETE: "red"}
_COUNTED: Final = (
    (_Action.CREATE, "to create"),
    (_Action.UPDATE, "to update"),
    (_Action.DELETE, "to delete"),
    (_Action.UNCHANGED, "unchanged"),
)

SOURCE = click.option(
    "--source",
    "source_name",
    default="",
    help="Name of the file, by which it owns things [default: default].",
)


class Comparing(click.Command):
    """A command whose exit code 2 says "different", so that no mistake of the caller's may have it too."""

    def make_context(self, *args: Any, **extra: Any) -> click.Context:
        found: click.Context = _failing(super().make_context, *args, **extra)
        return found

    def invoke(self, ctx: click.Context) -> Any:
        return _failing(super().invoke, ctx)


def _failing(step: Callable[..., Any], *args: Any, **extra: Any) -> Any:
    try:
        return step(*args, **extra)
    except click.UsageError as error:
        vars(error)["exit_code"] = FAILED
        raise


def changing(plan: Iterable[pb.PlannedChange]) -> list[pb.PlannedChange]:
    return [each for each in plan if each.action != _Action.UNCHANGED]


def echo(plan: Sequence[pb.PlannedChange]) -> None:
    """Show the plan of a file to people: what changes, and how much there is of each."""
    _echo_changing(plan)
    _echo_sums(plan, sum(bool(each.drifted_fields) for each in plan))


def echo_undo(plan: Sequence[pb.PlannedChange]) -> None:
    """The same of an undo, with what it leaves: others have changed or deleted that, or what it needs."""
    _echo_changing(plan)
    left = [each for each in plan if each.action == _Action.UNCHANGED or _left(each)]
    for change in left:
        fields = f"{', '.join(names)}: " if (names := _left(change)) else ""
        told = f"({fields}changed or deleted since, it or what it needs; stays)"
        click.secho(f"= {harmless(change.target)}   {told}", fg="yellow")
    _echo_sums(plan, len(left))


def _echo_changing(plan: Sequence[pb.PlannedChange]) -> None:
    for change in changing(plan):
        colour = _COLOURS[change.action]
        click.secho(f"{_MARKS[change.action]} {harmless(change.target)}", fg=colour, bold=True)
        for line in _fields(change):
            click.echo(f"    {line}")


def _echo_sums(plan: Sequence[pb.PlannedChange], drifted: int) -> None:
    if drifted:
        click.secho(f"{drifted} of these were edited since the file was applied.", fg="yellow")
    counts = {action: sum(each.action == action for each in plan) for action, _ in _COUNTED}
    click.echo("Plan: " + ", ".join(f"{counts[action]} {name}" for action, name in _COUNTED) + ".")


def echo_json(plan: Iterable[pb.PlannedChange]) -> None:
    shown = [json_format.MessageToDict(each, preserving_proto_field_name=True) for each in plan]
    click.echo(json.dumps(shown, indent=2, ensure_ascii=False))


def echo_patch(plan: Iterable[pb.PlannedChange], name: str) -> None:
    """Show a plan as a patch: from what there is to what the file says."""
    click.echo(f"--- installation\n+++ {name}")
    for change in changing(plan):
        click.secho(f"@@ {harmless(change.target)} @@", fg="cyan")
        if not change.diffs:
            click.secho(_MARKS[change.action] + harmless(change.target), fg=_COLOURS[change.action])
        for each in change.diffs:
            before, after = _said(each.before), _said(each.after)
            if before is not None:
                click.secho(f"-{harmless(each.field)}: {before}", fg="red")
            if after is not None:
                click.secho(f"+{harmless(each.field)}: {after}", fg="green")


def _fields(change: pb.PlannedChange) -> Iterator[str]:
    if change.action == _Action.DELETE:
        return
    for each in change.diffs:
        before, after = _said(each.before), _said(each.after)
        values = [value for value in (before, after) if value is not None]
        if change.action == _Action.UPDATE:
            values = [before or "not set", after or "not set"]
        edited = "   (edited since)" if each.field in change.drifted_fields else ""
        yield f"{harmless(each.field)}: {' -> '.join(values)}{click.style(edited, fg='yellow')}"


def _left(change: pb.PlannedChange) -> list[str]:
    """What an undo leaves as it is."""
    if change.action not in (_Action.UPDATE, _Action.UNCHANGED):
        return []
    changing = {each.field for each in change.diffs}
    return [harmless(each) for each in change.drifted_fields if each not in changing]


def _said(value: Value) -> str | None:
    """As JSON; None where there is nothing."""
    if value.WhichOneof("kind") in (None, "null_value"):
        return None
    found = json_format.MessageToDict(value)
    if isinstance(found, float) and found.is_integer():
        found = int(found)
    return harmless(json.dumps(found, ensure_ascii=False))
