"""``imrs config plan``: what a file would change, which ``apply`` and ``diff`` ask too."""

from __future__ import annotations

from typing import IO, TYPE_CHECKING

import click

from imrs_client import v1 as pb
from imrs_server.cli import remote
from imrs_server.cli.config import changes, source

if TYPE_CHECKING:
    from imrs_client import ImrsClient

PRUNE = click.option(
    "--prune", is_flag=True, help="Also delete what no file created, in the sections that this file has."
)


@click.command("plan", cls=changes.Comparing)
@source.FILE
@source.ENVIRONMENT
@changes.SOURCE
@PRUNE
@click.option("--json", "as_json", is_flag=True, help="Print every change as JSON.")
@remote.calls
def command(
    client: ImrsClient,
    source: IO[bytes],
    *,
    environment: str,
    source_name: str,
    prune: bool,
    as_json: bool,
) -> None:
    """Show what `imrs config apply` would change.

    Exit code 0: nothing; 2: something, be it that the file changed or that somebody edited what it owns;
    1: an error.
    """
    plan = planned(client, request(source, environment, source_name, prune=prune))
    if as_json:
        changes.echo_json(plan)
    else:
        changes.echo(plan)
    raise SystemExit(changes.DIFFERENT if changes.changing(plan) else changes.UNCHANGED)


def request(file: IO[bytes], environment: str, name: str, *, prune: bool) -> pb.ApplyConfigRequest:
    """The file as a request, checked here first, where each mistake can be told with its place."""
    text, _ = source.as_environment(file, environment)
    return pb.ApplyConfigRequest(yaml=text, environment=environment, source=name, prune=prune)


def planned(client: ImrsClient, wanted: pb.ApplyConfigRequest) -> list[pb.PlannedChange]:
    """What a request would do."""
    preview = pb.ApplyConfigRequest()
    preview.CopyFrom(wanted)
    preview.validate_only = True
    return list(client.admin.ApplyConfig(preview).plan)
