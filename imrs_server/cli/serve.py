"""``imrs serve``: the server, for a database and a Vault that are there."""

from __future__ import annotations

import click
import structlog

from imrs_server.cli import environment
from imrs_server.cli.ending import Ending
from imrs_server.console.process import Console
from imrs_server.domain.errors import AddressForbidden, DatabaseUnavailable, InvalidRequest
from imrs_server.storage import migrate
from imrs_server.telemetry import logs
from imrs_server.wiring import App

log = structlog.get_logger()


@click.command()
def command() -> None:
    """Serve gRPC on IMRS_GRPC_ADDR and health on IMRS_HTTP_ADDR until SIGTERM or Ctrl-C."""
    settings = environment.server()
    logs.configure(json=settings.log_format == "json", level=settings.log_level)
    try:
        migrate.require_current(settings.database_url.get_secret_value())
    except migrate.SchemaError as error:
        raise click.ClickException(str(error)) from None
    except DatabaseUnavailable as error:
        click.echo(f"{environment.why(error)}\nServing as soon as it answers.", err=True)
    try:
        app = environment.on(settings.grpc_addr, "IMRS_GRPC_ADDR", lambda: App(settings))
        console = environment.on(
            settings.http_addr, "IMRS_HTTP_ADDR", lambda: Console(settings.http_addr, app.address)
        )
    except environment.AddressTaken as error:
        raise click.ClickException(str(error)) from None
    except (AddressForbidden, InvalidRequest) as error:
        raise click.ClickException(f"IMRS_JWKS_URL: {error}") from None
    with Ending() as ending, console, app:  # probes are answered until the last call has ended
        log.info("console.started", address=console.address)
        ending.wait()
