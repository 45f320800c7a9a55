"""``imrs dev``: everything that IMRS needs, on this machine, for trying it out and for development."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import TYPE_CHECKING

import click

from imrs_server.cli import config_option, run_folder
from imrs_server.cli.dev_environment import TENANT_ID, Environment
from imrs_server.cli.ending import Ending
from imrs_server.cli.environment import AddressTaken, on
from imrs_server.console.process import Console, Figures
from imrs_server.embedded.echo import Echo
from imrs_server.embedded.openbao import OpenBao
from imrs_server.embedded.postgres import Postgres
from imrs_server.embedded.process import StartError
from imrs_server.storage.migrate import SchemaError
from imrs_server.telemetry import logs
from imrs_server.wiring import App

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from concurrent.futures import Future
    from uuid import UUID

READY_SECONDS = 60.0
_LOOK_SECONDS = 0.02


@click.command()
@click.option(
    "--data-dir",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path(".imrs"),
    show_default=True,
    help="Where PostgreSQL, OpenBao and dev.env live; made when it is not there.",
)
@click.option("--port", type=click.IntRange(0, 65535), default=50051, show_default=True, help="gRPC; 0: any.")
@click.option("--http-port", type=click.IntRange(0, 65535), default=8080, show_default=True, help="0: any.")
@config_option.FILE
@config_option.TENANT
@config_option.ENVIRONMENT
@click.option("--no-seed", is_flag=True, help="Start without the demo tenant, providers and agents.")
def command(
    data_dir: Path,
    port: int,
    http_port: int,
    config: Path | None,
    config_tenant: UUID | None,
    environment_name: str,
    *,
    no_seed: bool,
) -> None:
    """Start PostgreSQL, OpenBao and the server with demo data; Ctrl-C stops everything."""

    def watch(app: App) -> None:
        if config:
            assert app.config is not None
            app.config.watch(config.absolute(), config_tenant or TENANT_ID, environment_name)

    _logs()
    try:
        with Ending() as ending, ExitStack() as stack:
            environment = Environment(data_dir.absolute())
            with suppress(_GivenUp):
                for _ in _steps(stack, environment, ending, port, http_port, seed=not no_seed, watch=watch):
                    if ending.wished:
                        break
                else:
                    ending.wait()
            click.echo("Stopping ...", err=True)
    except (StartError, AddressTaken) as error:
        raise click.ClickException(str(error)) from None
    except SchemaError as error:
        raise click.ClickException(f"{error} Or start anew without what is in {data_dir}.") from None


class _GivenUp(Exception):
    """Somebody wished for the end before the start had got far."""


def _steps(
    stack: ExitStack,
    environment: Environment,
    ending: Ending,
    port: int,
    http_port: int,
    *,
    seed: bool,
    watch: Callable[[App], None],
) -> Iterator[None]:
    """Start part after part. Between two steps the start can be given up; what runs is on the stack.

    Raises _GivenUp where the end is wished during the first one, which may take long.
    """
    click.echo(f"Starting PostgreSQL and OpenBao in {environment.folder} ...", err=True)
    parts = _parts(stack, environment, ending)
    environment.forget()  # what a killed run left; only now is it sure that no run is alive
    yield
    settings = environment.settings(*parts, port=port, http_port=http_port)
    yield
    folder = stack.enter_context(run_folder.make())
    run_folder.count_in(folder)
    figures = Figures(folder=folder, tokens=settings.token_tracking) if settings.metrics else None
    app = on(settings.grpc_addr, "--port", lambda: App(settings))
    console = on(
        settings.http_addr,
        "--http-port",
        lambda: Console(settings.http_addr, app.address, figures=figures, prepare=_logs),
    )
    stack.enter_context(console)
    stack.enter_context(app)
    if not app.wait_ready(READY_SECONDS):
        raise StartError(f"the server was not ready after {READY_SECONDS:g} s; the log above says why")
    yield
    if seed:
        from imrs_server.cli.dev_seed import plant  # noqa: PLC0415  (the catalogue is large; only when asked)

        plant(app, stack.enter_context(Echo()))
        yield
    watch(app)
    stack.callback(environment.forget)
    environment.announce(app.address, console.address, settings)


def _logs() -> None:
    logs.configure(json=False, level="INFO")


def _parts(stack: ExitStack, environment: Environment, ending: Ending) -> tuple[Postgres, OpenBao]:
    """Start both at once; what started is stopped even if the other did not. Raises _GivenUp."""
    postgres, openbao = Postgres(environment.folder / "postgres"), OpenBao(environment.folder / "openbao")
    with ThreadPoolExecutor(2) as pool:
        starts = [pool.submit(stack.enter_context, part) for part in (postgres, openbao)]
        if _is_wished_before(ending, starts):
            for part in (postgres, openbao):
                part.give_up()
    if ending.wished:
        raise _GivenUp
    for start in starts:
        start.result()
    return postgres, openbao


def _is_wished_before(ending: Ending, starts: Sequence[Future[object]]) -> bool:
    """Whether somebody wishes for the end before all have started, or failed to."""
    while not all(each.done() for each in starts):
        if ending.wait(_LOOK_SECONDS):
            return True
    return False
