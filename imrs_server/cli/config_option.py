"""The options of a server that watches a configuration file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from uuid import UUID

    from imrs_server.settings import Settings

FILE = click.option(
    "--config",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Apply this configuration file, and again whenever it changes; else IMRS_CONFIG_FILE.",
)
TENANT = click.option(
    "--config-tenant", type=click.UUID, help="The tenant whose agents are in it; else IMRS_CONFIG_TENANT."
)
ENVIRONMENT = click.option(
    "--environment",
    "environment_name",
    envvar="DEPLOYMENT_ENV",
    default="",
    help="Whose overrides count in it [env: DEPLOYMENT_ENV; default: production].",
)


def chosen(settings: Settings, file: Path | None, tenant_id: UUID | None, environment: str) -> Settings:
    """Settings with what the command line says of the file."""
    said = {
        "config_file": file and file.absolute(),
        "config_tenant": tenant_id,
        "config_environment": environment,
    }
    return settings.model_copy(update={name: value for name, value in said.items() if value})
