"""``imrs config export``: an installation as a file."""

from __future__ import annotations

from typing import IO, TYPE_CHECKING

import click

from imrs_client import v1 as pb
from imrs_server.cli import remote

if TYPE_CHECKING:
    from imrs_client import ImrsClient


@click.command("export")
@click.option(
    "-o", "--output", type=click.File("w", encoding="utf-8", atomic=True), default="-", help="File to write."
)
@remote.calls
def command(client: ImrsClient, *, output: IO[str]) -> None:
    """Write the configuration as a file for which `imrs config apply` finds nothing to do.

    As a tenant's admin that of the tenant; as a platform admin that of the platform, and of the tenant that
    --tenant names. Keys are never in it.
    """
    output.write(client.admin.ExportConfig(pb.ExportConfigRequest()).yaml)
