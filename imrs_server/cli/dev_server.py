"""What ``imrs dev`` starts once PostgreSQL and OpenBao run. Importing it takes longer than they do."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, TypedDict

import click

from imrs_server.cli import run_folder
from imrs_server.cli.dev_environment import TENANT_ID, Environment
from imrs_server.cli.environment import AddressTaken, on
from imrs_server.console.process import Console, Figures
from imrs_server.embedded.echo import Echo
from imrs_server.embedded.process import StartError
from imrs_server.storage.migrate import SchemaError
from imrs_server.telemetry import logs
from imrs_server.wiring import App

if TYPE_CHECKING:
    from collections.abc import Iterator
    from contextlib import ExitStack
    from pathlib import Path
    from uuid import UUID

    from imrs_server.embedded.openbao import OpenBao
    from imrs_server.embedded.postgres import Postgres

READY_SECONDS = 60.0

# No function of this module: the console's process would import all of it to call that.
_logs = partial(logs.configure, json=False, level="INFO")


class Wanted(TypedDict):
    """What the command line says of the server; port 0 is any."""

    port: int
    http_port: int
    seed: bool
    config: Path | None
    config_tenant: UUID | None
    environment_name: str


def steps(
    stack: ExitStack, data_dir: Path, postgres: Postgres, openbao: OpenBao, wanted: Wanted
) -> Iterator[None]:
    """Start part after part. Between two steps the start can be given up; what runs is on the stack.

    Raises StartError, and click.ClickException where the user can help.
    """
    environment = Environment(data_dir.absolute())
    try:
        yield from _steps(stack, environment, postgres, openbao, wanted)
    except AddressTaken as error:
        raise click.ClickException(str(error)) from None
    except SchemaError as error:
        raise click.ClickException(f"{error} Or start anew without what is in {data_dir}.") from None


def _steps(
    stack: ExitStack, environment: Environment, postgres: Postgres, openbao: OpenBao, wanted: Wanted
) -> Iterator[None]:
    _logs()
    environment.forget()  # what a killed run left; only now is it sure that no run is alive
    yield
    settings = environment.settings(postgres, openbao, port=wanted["port"], http_port=wanted["http_port"])
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
    if wanted["seed"]:
        from imrs_server.cli.dev_seed import plant  # noqa: PLC0415  (the catalogue is large; only when asked)

        plant(app, stack.enter_context(Echo()))
        yield
    if wanted["config"]:
        assert app.config is not None
        tenant_id = wanted["config_tenant"] or TENANT_ID
        app.config.watch(wanted["config"].absolute(), tenant_id, wanted["environment_name"])
    stack.callback(environment.forget)
    environment.announce(app.address, console.address, settings)
