"""Settings for a command, or a message that says which variable is missing or wrong."""

from __future__ import annotations

import click
from pydantic import ValidationError

from imrs_server.settings import Settings


def settings() -> Settings:
    """Raises click.ClickException that names each variable and what would be right; never its value."""
    try:
        return Settings()
    except ValidationError as error:
        lines = [
            f"  IMRS_{str(problem['loc'][0]).upper()}: {problem['msg']}"
            f" ({_description(str(problem['loc'][0]))})"
            for problem in error.errors(include_url=False, include_input=False)
        ]
        raise click.ClickException("\n".join(["the environment is not complete:", *lines])) from None


def _description(name: str) -> str:
    field = Settings.model_fields.get(name)
    return (field.description if field else None) or "see docs/operations.md"
