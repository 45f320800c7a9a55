"""``imrs serve``: the server, for a database and a Vault that are there."""

from __future__ import annotations

from contextlib import ExitStack
from functools import partial
from typing import TYPE_CHECKING

import click
import structlog

from imrs_server.cli import config_option, cores, environment, run_folder, worker
from imrs_server.cli.ending import Ending
from imrs_server.cli.ports import Reservation
from imrs_server.cli.workers import Workers, WorkersFailed
from imrs_server.console.process import Console, Figures, Listener
from imrs_server.console.standing import Standing
from imrs_server.domain.errors import DatabaseUnavailable
from imrs_server.storage import migrate
from imrs_server.telemetry import exposition, logs

if TYPE_CHECKING:
    from pathlib import Path
    from uuid import UUID

    from imrs_server.settings import Settings

log = structlog.get_logger()


@click.command()
@config_option.FILE
@config_option.TENANT
@config_option.ENVIRONMENT
@click.option(
    "--workers",
    type=click.IntRange(1, 256),
    help="Processes that serve gRPC on the one port; else IMRS_WORKERS, else one a core.",
)
def command(
    workers: int | None, config: Path | None, config_tenant: UUID | None, environment_name: str
) -> None:
    """Serve gRPC on IMRS_GRPC_ADDR, health and metrics on IMRS_METRICS_ADDR until SIGTERM or Ctrl-C."""
    settings = config_option.chosen(environment.server(), config, config_tenant, environment_name)
    logs.configure(json=settings.log_format == "json", level=settings.log_level)
    try:
        migrate.require_current(settings.database_url.get_secret_value())
    except migrate.SchemaError as error:
        raise click.ClickException(str(error)) from None
    except DatabaseUnavailable as error:
        click.echo(f"{environment.why(error)}\nServing as soon as it answers.", err=True)
    try:
        _serve(settings, workers or settings.workers or cores.count())
    except (environment.AddressTaken, WorkersFailed) as error:
        raise click.ClickException(str(error)) from None


def _serve(settings: Settings, count: int) -> None:
    """Until it is ended. Raises AddressTaken and WorkersFailed."""
    with ExitStack() as stack:
        ending = stack.enter_context(Ending())
        port = environment.on(settings.grpc_addr, "IMRS_GRPC_ADDR", lambda: Reservation(settings.grpc_addr))
        stack.enter_context(port)
        standing, folder = Standing(count), stack.enter_context(run_folder.make())
        figures_at = _figures_at(settings)
        if figures_at:
            stack.enter_context(figures_at)
        console = environment.on(
            settings.http_addr,
            "IMRS_HTTP_ADDR",
            lambda: Console(
                settings.http_addr,
                port.address,
                standing=standing,
                figures=Figures(folder=folder, tokens=settings.token_tracking) if settings.metrics else None,
                figures_at=figures_at,
                prepare=partial(logs.configure, json=settings.log_format == "json", level=settings.log_level),
            ),
        )
        # Probes are answered until the last call has ended.
        stack.enter_context(console)
        log.info("console.started", address=console.address)
        log.info("metrics.started", address=figures_at.address if figures_at else console.address)
        given = worker.Given(
            settings=settings.model_copy(update={"grpc_addr": port.address}),
            workers=count,
            folder=folder,
            pinned=settings.pin_workers and count <= cores.count(),
        )
        workers = Workers(
            worker.run,
            given,
            count,
            standing=standing,
            bury=lambda pid: exposition.bury(folder, pid),
            silence_seconds=settings.worker_silence_seconds,
        )
        stack.enter_context(workers).run(ending)


def _figures_at(settings: Settings) -> Listener | None:
    """None where they are served with all the rest. Raises AddressTaken."""
    address = settings.metrics_addr
    if address == settings.http_addr and not address.endswith(":0"):
        return None
    return environment.on(address, "IMRS_METRICS_ADDR", lambda: Listener(address))
