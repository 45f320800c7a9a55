"""The file that a command is about, and the environment that it is read as."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from imrs_server.config_file import file
from imrs_server.config_file.problems import ConfigInvalid

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import IO

    from imrs_server.config_file.file import Document

FILE = click.argument("source", metavar="FILE", type=click.File("rb"))
ENVIRONMENT = click.option(
    "--environment",
    envvar="DEPLOYMENT_ENV",
    default="",
    help="Whose overrides count [env: DEPLOYMENT_ENV; default: production].",
)


def read(source: IO[bytes]) -> str:
    """The text of a file. Raises ClickException where it is none."""
    try:
        return source.read().decode("utf-8-sig")
    except UnicodeDecodeError:
        raise click.ClickException(f"{source.name}: must be UTF-8") from None


def checked(source: IO[bytes], parse: Callable[[str], Any]) -> Any:
    """What ``parse`` makes of the file. Raises ClickException that shows every problem where it stands."""
    try:
        return parse(read(source))
    except ConfigInvalid as invalid:
        lines = [each.within(source.name) for each in invalid.problems]
        raise click.ClickException("\n".join(["the file is not valid.", *lines])) from None


def as_environment(source: IO[bytes], environment: str) -> tuple[str, Document]:
    """The text of a file and what it says in an environment; a name that it does not know is mentioned."""
    text: list[str] = []

    def parse(found: str) -> Document:
        text.append(found)
        return file.read(found, environment)

    document: Document = checked(source, parse)
    if environment and document.environments and environment not in document.environments:
        known = ", ".join(document.environments)
        click.echo(f"{source.name} has no overrides for {environment}; it has some for {known}.", err=True)
    return text[0], document
