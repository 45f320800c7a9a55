"""``imrs serve``: the server, for a database and a Vault that are there."""

from __future__ import annotations

import signal
import threading

import click

from imrs_server.cli.environment import settings
from imrs_server.console.process import Console
from imrs_server.domain.errors import DatabaseUnavailable
from imrs_server.storage import migrate
from imrs_server.telemetry import logs
from imrs_server.wiring import App


@click.command()
def command() -> None:
    """Serve gRPC on IMRS_GRPC_ADDR and health on IMRS_HTTP_ADDR until SIGTERM or Ctrl-C."""
    found = settings()
    logs.configure(json=found.log_format == "json", level=found.log_level)
    try:
        migrate.require_current(found.database_url.get_secret_value())
    except migrate.SchemaError as error:
        raise click.ClickException(str(error)) from None
    except DatabaseUnavailable:
        click.echo("the database does not answer yet; serving as soon as it does", err=True)
    ending = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: ending.set())
    with App(found) as app, Console(found.http_addr, app.address):
        ending.wait()
