"""The command ``imrs``: one module a command, imported when it is called."""

from __future__ import annotations

from importlib import import_module

import click

import imrs_server

# Command -> its module; `import` is no name of a module that could be imported.
_COMMANDS = {
    "config": "config",
    "dev": "dev",
    "evidence": "evidence",
    "import": "import_messages",
    "migrate": "migrate",
    "replay": "replay",
    "serve": "serve",
    "token": "token",
    "usage": "usage",
}


class _Lazy(click.Group):
    """Imports a command's module only when it is asked for: `imrs --help` loads no gRPC."""

    def list_commands(self, _ctx: click.Context) -> list[str]:
        return list(_COMMANDS)

    def get_command(self, _ctx: click.Context, name: str) -> click.Command | None:
        if name not in _COMMANDS:
            return None
        command: click.Command = import_module(f"imrs_server.cli.{_COMMANDS[name]}").command
        return command


@click.group(cls=_Lazy, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(imrs_server.__version__, prog_name="imrs")
def main() -> None:
    """Intelligent Model Routing System: which model should serve this request."""
