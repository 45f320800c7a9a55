"""``imrs audit``: who changed what, and when."""

from __future__ import annotations

from typing import Any, Final

import click

from imrs_client import v1 as pb
from imrs_server.cli import arguments
from imrs_server.cli.output import fields, text
from imrs_server.cli.output.forms import View
from imrs_server.cli.resource import Resource
from imrs_server.domain.flat import flatten

# What every change moves, and nobody asks for.
_MOVING: Final = frozenset({"update_time", "version", "etag"})
# What other methods do to a thing, such as enabling models for it, has no before either.
_MAKING: Final = ("Create", "Clone", "Set", "Update", "Issue", "Apply", "Undo")
# Of a value in a table; `--jsonl` has all of it.
_MOST_CHARACTERS: Final = 80


def changed(event: pb.AuditEvent) -> str:
    """What a change was, as one line: fields before and after."""
    verb = event.method.partition("/")[2]
    if not event.HasField("before"):
        if verb.startswith(_MAKING):
            return "created"
    elif not event.HasField("after"):
        return "deleted"
    before, after = flatten(fields.as_dict(event.before)), flatten(fields.as_dict(event.after))
    names = sorted((before.keys() | after.keys()) - _MOVING)
    return ", ".join(
        f"{name}: {_said(before.get(name))} -> {_said(after.get(name))}"
        for name in names
        if before.get(name) != after.get(name)
    )


def _said(value: Any) -> str:
    if value is None:
        return text.NOTHING
    # A Struct has no whole numbers.
    said = fields.compact(int(value) if isinstance(value, float) and value.is_integer() else value)
    return said if len(said) <= _MOST_CHARACTERS else f"{said[: _MOST_CHARACTERS - 1]}…"


_VIEW: Final = View(
    shown={
        "time": "create_time", "actor": "actor", "method": "method", "type": "target_type",
        "id": "target_id",
    },
    also={"changed": changed},
    empty="Nothing was changed, as far as these options see.",
)  # fmt: skip


command = Resource(kind=pb.AuditEvent, id="event_id").listing(
    """List who changed what, the newest first, as a tenant's admin; with all tenants as a platform admin.

    imrs audit --type agent --id support-bot --since 2026-11-01
    """,
    _VIEW,
    click.option("--actor", default="", help="Only by this one: the `sub` of a token, or config:FILE."),
    click.option("--type", "target_type", default="", help="Only of things of this kind, such as agent."),
    click.option("--id", "target_id", default="", help="Only of this thing."),
    click.option("--method", default="", help="Only by this method, such as AdminService/UpdateAgent."),
    arguments.between,
    name="audit",
)
