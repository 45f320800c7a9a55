"""``imrs config``: the whole configuration as one file."""

from __future__ import annotations

from importlib import import_module

import click

# Command -> its module.
_COMMANDS = {
    "apply": "apply",
    "diff": "diff",
    "export": "export",
    "import": "importing",
    "plan": "plan",
    "schema": "schema",
    "undo": "undo",
    "validate": "validate",
}


class _Lazy(click.Group):
    """Imports a command's module only when it is asked for: checking a file loads no gRPC."""

    def list_commands(self, _ctx: click.Context) -> list[str]:
        return list(_COMMANDS)

    def get_command(self, _ctx: click.Context, name: str) -> click.Command | None:
        if name not in _COMMANDS:
            return None
        command: click.Command = import_module(f"imrs_server.cli.config.{_COMMANDS[name]}").command
        return command


@click.group("config", cls=_Lazy)
def command() -> None:
    """Keep providers, models and agents in one YAML file: check it, see what it changes, apply it."""
