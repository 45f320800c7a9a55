"""``imrs config undo``: take the last apply back."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from imrs_client import v1 as pb
from imrs_server.cli import remote
from imrs_server.cli.config import changes

if TYPE_CHECKING:
    from imrs_client import ImrsClient


@click.command("undo")
@changes.SOURCE
@click.option("--yes", is_flag=True, help="Do not ask.")
@remote.calls
def command(client: ImrsClient, *, source_name: str, yes: bool) -> None:
    """Take the last apply of a file back, but for what others have changed since; again, the one before.

    The file itself stays as it is: correct it too, or the next apply does the same again.
    """
    planned: list[pb.PlannedChange] | None = None
    if not yes:
        preview = pb.UndoConfigRequest(source=source_name, validate_only=True)
        planned = list(client.admin.UndoConfig(preview).plan)
        changes.echo_undo(planned)
        click.confirm("Take this back?", abort=True)
    done = list(client.admin.UndoConfig(pb.UndoConfigRequest(source=source_name)).plan)
    if done != planned:
        if planned is not None:
            click.secho("Somebody changed something meanwhile; this was done:", fg="yellow")
        changes.echo_undo(done)
    click.echo(f"Undone; revision {client.last_revision}.")
