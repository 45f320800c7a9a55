"""``imrs evidence``: look after what is known of models."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from imrs_server.cli import environment
from imrs_server.cli.output import forms
from imrs_server.domain.errors import DatabaseUnavailable
from imrs_server.jobs.rollup import Rollup
from imrs_server.storage import migrate
from imrs_server.storage.database import Database, MalformedDsn

if TYPE_CHECKING:
    from imrs_server.cli.output.forms import Form
    from imrs_server.jobs.counting import Drift


@click.group()
def command() -> None:
    """Look after the evidence that routing learns from."""


@command.command()
@click.option(
    "--database-url", envvar="IMRS_DATABASE_URL", show_envvar=True, required=True, help="DSN of the database."
)
@forms.single
def rebuild(database_url: str, *, form: Form) -> None:
    """Count all evidence anew from the votes, calls and decisions that are kept.

    Says how many sums had drifted from them, which should be none; where rows were deleted on purpose, with
    their month, what they had added goes too. Servers may go on running, and learn of it at once.
    """
    try:
        migrate.require_current(database_url)
        drift = _rebuild(database_url)
    except MalformedDsn as error:
        raise click.ClickException(f"IMRS_DATABASE_URL is {error}") from None
    except migrate.SchemaError as error:
        raise click.ClickException(str(error)) from None
    except DatabaseUnavailable as error:
        raise click.ClickException(environment.why(error)) from None
    told = {"cells": drift.cells, "drifted": drift.wrong}
    form.done(told, f"counted {drift.cells:,} cells; {drift.wrong:,} of them had drifted")


def _rebuild(dsn: str) -> Drift:
    database = Database(dsn, app_connections=1, system_connections=1)
    database.open()
    try:
        return Rollup(database).rebuild()
    finally:
        database.close()
