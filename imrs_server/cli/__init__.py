"""The command ``imrs``: one module a command, imported when it is called."""

from __future__ import annotations

from importlib import import_module

import click

import imrs_server

# Command -> its module and what it is for; `import` is no name of a module that could be imported.
_COMMANDS = {
    "agents": ("agents", "See and change agents and their models."),
    "audit": ("audit", "See who changed what."),
    "budgets": ("budgets", "See and set what agents and tenants may spend."),
    "config": ("config", "Keep providers, models and agents in one YAML file."),
    "decisions": ("decisions", "See which models were chosen, and why."),
    "defaults": ("defaults", "See and set what holds where nobody says otherwise."),
    "dev": ("dev", "Start everything on this machine, with demo data."),
    "doctor": ("doctor", "Look at what a server needs, and say what to do."),
    "endpoints": ("endpoints", "See and change where the models of a pool run."),
    "evidence": ("evidence", "Look after the evidence that routing learns from."),
    "feedback": ("feedback", "See and give feedback."),
    "import": ("import_messages", "Import calls and their ratings from a CSV file."),
    "migrate": ("migrate", "Apply the migrations that the database does not have."),
    "models": ("models", "See and change the catalogue of models."),
    "preferences": ("preferences", "See and set what classes of agents prefer."),
    "providers": ("providers", "See and change providers, their keys and syncs."),
    "replay": ("replay", "Say what another policy would have changed."),
    "serve": ("serve", "Serve gRPC, and health over HTTP."),
    "tenants": ("tenants", "See tenants and give them names."),
    "token": ("token", "Sign a token, without a server."),
    "tokens": ("tokens", "Issue, see and revoke tokens."),
    "usage": ("usage", "Add up calls, tokens and cost."),
}


class _Lazy(click.Group):
    """Imports a command's module only when it is asked for: `imrs --help` loads no gRPC."""

    def list_commands(self, _ctx: click.Context) -> list[str]:
        return list(_COMMANDS)

    def get_command(self, _ctx: click.Context, name: str) -> click.Command | None:
        if name not in _COMMANDS:
            return None
        module, _ = _COMMANDS[name]
        command: click.Command = import_module(f"imrs_server.cli.{module}").command
        return command

    def format_commands(self, _ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, says) for name, (_, says) in _COMMANDS.items()])


@click.group(cls=_Lazy, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(imrs_server.__version__, prog_name="imrs")
def main() -> None:
    """Intelligent Model Routing System: which model should serve this request."""
