"""``imrs config diff``: the plan as a patch, for reviews."""

from __future__ import annotations

from typing import IO, TYPE_CHECKING

import click

from imrs_server.cli import remote
from imrs_server.cli.config import changes, plan, source

if TYPE_CHECKING:
    from imrs_client import ImrsClient


@click.command("diff", cls=changes.Comparing)
@source.FILE
@source.ENVIRONMENT
@changes.SOURCE
@plan.PRUNE
@remote.calls
def command(
    client: ImrsClient, source: IO[bytes], *, environment: str, source_name: str, prune: bool
) -> None:
    """Compare an installation with a file: `-` is what there is, `+` what the file says.

    Exit codes are those of `imrs config plan`.
    """
    planned = plan.planned(client, plan.request(source, environment, source_name, prune=prune))
    if not changes.changing(planned):
        raise SystemExit(changes.UNCHANGED)
    changes.echo_patch(planned, source.name)
    raise SystemExit(changes.DIFFERENT)
