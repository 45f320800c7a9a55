"""``imrs config schema``: for editors, and for checks elsewhere."""

from __future__ import annotations

import json

import click

from imrs_server.config_file.json_schema import json_schema


@click.command("schema")
def command() -> None:
    """Print the JSON Schema of a configuration file.

    Editors complete and check a file that names it in its first line:
    `# yaml-language-server: $schema=models.schema.json`.
    """
    click.echo(json.dumps(json_schema(), indent=2, ensure_ascii=False))
