"""``imrs config apply``: make things as a file says."""

from __future__ import annotations

from typing import IO, TYPE_CHECKING

import click

from imrs_server.cli import remote
from imrs_server.cli.config import changes, plan, source

if TYPE_CHECKING:
    from imrs_client import ImrsClient
    from imrs_client import v1 as pb


@click.command("apply")
@source.FILE
@source.ENVIRONMENT
@changes.SOURCE
@plan.PRUNE
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.option("--json", "as_json", is_flag=True, help="Print every change as JSON; needs --yes.")
@remote.calls
def command(
    client: ImrsClient,
    source: IO[bytes],
    *,
    environment: str,
    source_name: str,
    prune: bool,
    yes: bool,
    as_json: bool,
) -> None:
    """Make things as a file says, all of it or nothing; shows the plan and asks first.

    What the file created and no longer names is deleted; other things stay, unless --prune is given. Applying
    a file twice changes nothing the second time.
    """
    if as_json and not yes:
        raise click.UsageError("--json needs --yes, for there is nobody to ask")
    wanted = plan.request(source, environment, source_name, prune=prune)
    planned: list[pb.PlannedChange] | None = None
    if not yes:
        planned = plan.planned(client, wanted)
        changes.echo(planned)
        if changes.changing(planned):
            click.confirm("Apply this?", abort=True)
    done = list(client.admin.ApplyConfig(wanted).plan)
    if as_json:
        changes.echo_json(done)
    elif done != planned:
        if planned is not None:
            click.secho("Somebody changed something meanwhile; this was done:", fg="yellow")
        changes.echo(done)
    if not as_json:
        changed = bool(changes.changing(done))
        click.echo(f"Applied; revision {client.last_revision}." if changed else "Nothing to do.")
