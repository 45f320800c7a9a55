"""``imrs config validate``: is this a good file? Needs no server."""

from __future__ import annotations

import json
from typing import IO, TYPE_CHECKING

import click

from imrs_server.cli.config import source as file_option
from imrs_server.config_file import file
from imrs_server.config_file.problems import ConfigInvalid

if TYPE_CHECKING:
    from imrs_server.config_file.schema import ConfigFile

_SECTIONS = ("providers", "models", "endpoints", "preferences", "agents", "rules", "budgets")


@click.command("validate")
@click.argument("sources", metavar="FILE...", nargs=-1, required=True, type=click.File("rb"))
@click.option("--json", "as_json", is_flag=True, help="Print every problem as JSON.")
def command(sources: tuple[IO[bytes], ...], *, as_json: bool) -> None:
    """Check files, each as production and as every environment that it has overrides for.

    What only a server knows, such as whether a model is in its catalogue, `imrs config plan` tells.
    """
    problems = [problem for source in sources for problem in _problems(source, quiet=as_json)]
    if as_json:
        click.echo(json.dumps(problems, indent=2, ensure_ascii=False))
    if problems:
        raise SystemExit(1)


def _problems(source: IO[bytes], *, quiet: bool) -> list[dict[str, object]]:
    try:
        documents = file.check(file_option.read(source))
    except ConfigInvalid as invalid:
        for each in () if quiet else invalid.problems:
            click.echo(each.within(source.name), err=True)
        if invalid.more and not quiet:
            click.echo(f"{source.name}: {invalid.more} more", err=True)
        return [
            {
                "file": source.name,
                "line": each.mark.line,
                "column": each.mark.column,
                "path": each.path,
                "expected": each.expected,
            }
            for each in invalid.problems
        ]
    if not quiet:
        environments = ", ".join(each.environment for each in documents)
        click.echo(f"{source.name}: valid as {environments}; {_contents(documents[0].config)}")
    return []


def _contents(config: ConfigFile) -> str:
    counted = {name: len(getattr(config, name)) for name in _SECTIONS}
    return ", ".join(f"{count} {name}" for name, count in counted.items() if count) or "no sections"
