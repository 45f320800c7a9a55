"""``imrs migrate``: bring the schema up to date, or take the newest steps back."""

from __future__ import annotations

import click

from imrs_server.cli import environment
from imrs_server.domain.errors import DatabaseUnavailable
from imrs_server.storage import migrate
from imrs_server.storage.database import MalformedDsn


@click.command()
@click.option(
    "--database-url", envvar="IMRS_DATABASE_URL", show_envvar=True, required=True, help="DSN of the owner."
)
@click.option("--down", type=click.IntRange(1), metavar="N", help="Undo the newest N migrations instead.")
@click.option("--dry-run", is_flag=True, help="Only say what would be done.")
@click.option("--yes", is_flag=True, help="Do not ask before dropping anything.")
def command(database_url: str, down: int | None, *, dry_run: bool, yes: bool) -> None:
    """Apply the migrations that the database does not have."""
    try:
        if down is None:
            _up(database_url, dry_run=dry_run)
        else:
            _down(database_url, down, dry_run=dry_run, yes=yes)
    except MalformedDsn as error:
        raise click.ClickException(f"IMRS_DATABASE_URL is {error}") from None
    except migrate.SchemaError as error:
        raise click.ClickException(str(error)) from None
    except DatabaseUnavailable as error:
        raise click.ClickException(environment.why(error)) from None


def _up(dsn: str, *, dry_run: bool) -> None:
    names = migrate.pending(dsn) if dry_run else migrate.apply(dsn)
    for name in names:
        click.echo(f"{'would apply' if dry_run else 'applied'} {name}")
    if not names:
        click.echo("the schema is up to date")


def _down(dsn: str, steps: int, *, dry_run: bool, yes: bool) -> None:
    losses = migrate.would_drop(dsn, steps=steps)
    click.echo("this drops, with everything in it:" if losses else "no table, column or function is dropped")
    for loss in losses:
        click.echo(f"  {loss}")
    if dry_run:
        return
    if losses and not yes:
        click.confirm("Go on?", abort=True)
    names = migrate.revert(dsn, steps=steps)
    for name in names:
        click.echo(f"reverted {name}")
    if not names:
        click.echo("no migration is applied")
