"""``imrs doctor``: what keeps a server from serving well, and what to do about it."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from imrs_server.cli.doctor import database, finding, parts, ports, running, surroundings, vault
from imrs_server.cli.doctor.finding import Level
from imrs_server.cli.output import forms, tables, text
from imrs_server.cli.output.forms import Kind

if TYPE_CHECKING:
    from collections.abc import Iterator

    from imrs_server.cli.doctor.finding import Finding
    from imrs_server.cli.output.forms import Form


@click.command("doctor")
@click.option("--strict", is_flag=True, help="End with 1 for a warning too.")
@forms.single
def command(*, strict: bool, form: Form) -> None:
    """Look at what a server needs: settings, database, Vault, ports; and at a server that runs.

    Settings are read from the environment as `imrs serve` reads them. A running server is asked where
    IMRS_TOKEN holds the token of a platform admin. Changes nothing. Ends with 1 where something fails.
    """
    found: list[Finding] = []
    for each in _findings():
        found.append(each)
        if form.kind is Kind.TABLE:
            _tell(each)
    worst = finding.worst(found)
    if form.kind is Kind.JSON:
        told = [
            {"check": each.check, "level": str(each.level), "says": each.says, "advice": each.advice}
            for each in found
        ]
        forms.echo_json({"worst": str(worst), "findings": told})
    if worst is Level.FAIL or (strict and worst is Level.WARN):
        sys.exit(1)


def _findings() -> Iterator[Finding]:
    """Each as soon as it is known."""
    given = parts.read()
    yield from given.findings
    if given.settings is not None:
        yield from surroundings.contradictions(given.settings)
    yield from surroundings.unknown_names()
    if given.dsn:
        yield from database.examine(given.dsn, given.listen_dsn, given.settings)
    if given.settings is not None:
        yield from vault.examine(given.settings)
        yield from ports.examine(given.settings)
    yield from running.examine(alone=given.settings is None)


def _tell(each: Finding) -> None:
    level = tables.styled(str(each.level)) + " " * (4 - len(each.level))
    click.echo(f"{level}  {each.check:<10}  {text.harmless(each.says)}")
    if each.advice:
        click.echo(f"      {'':<10}  {click.style(text.harmless(each.advice), dim=True)}")
