"""``imrs dev``: everything that IMRS needs, on this machine, for trying it out and for development."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

import click

from imrs_server.cli import config_option
from imrs_server.cli.ending import Ending
from imrs_server.embedded.openbao import OpenBao
from imrs_server.embedded.postgres import Postgres
from imrs_server.embedded.process import StartError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from concurrent.futures import Future
    from uuid import UUID

    from imrs_server.cli.dev_server import Wanted

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
    wanted: Wanted = {
        "port": port,
        "http_port": http_port,
        "seed": not no_seed,
        "config": config,
        "config_tenant": config_tenant,
        "environment_name": environment_name,
    }
    try:
        with Ending() as ending, ExitStack() as stack:
            with suppress(_GivenUp):
                for _ in _steps(stack, data_dir, ending, wanted):
                    if ending.wished:
                        break
                else:
                    ending.wait()
            click.echo("Stopping ...", err=True)
    except StartError as error:
        raise click.ClickException(str(error)) from None


class _GivenUp(Exception):
    """Somebody wished for the end before the start had got far."""


def _steps(stack: ExitStack, data_dir: Path, ending: Ending, wanted: Wanted) -> Iterator[None]:
    """Start part after part. Between two steps the start can be given up; what runs is on the stack.

    Raises _GivenUp where the end is wished during the first one, which may take long.
    """
    folder = data_dir.absolute()
    click.echo(f"Starting PostgreSQL and OpenBao in {folder} ...", err=True)
    postgres, openbao = _parts(stack, folder, ending)
    # Imported by now, while those two started.
    from imrs_server.cli import dev_server  # noqa: PLC0415

    yield from dev_server.steps(stack, data_dir, postgres, openbao, wanted)


def _parts(stack: ExitStack, folder: Path, ending: Ending) -> tuple[Postgres, OpenBao]:
    """Start both at once; what started is stopped even if the other did not. Raises _GivenUp."""
    postgres, openbao = Postgres(folder / "postgres"), OpenBao(folder / "openbao")
    with ThreadPoolExecutor(3) as pool:
        starts: list[Future[object]] = [
            pool.submit(stack.enter_context, each) for each in (postgres, openbao)
        ]
        starts.append(pool.submit(import_module, "imrs_server.cli.dev_server"))
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
