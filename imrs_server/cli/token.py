"""``imrs token``: sign a token."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import click

from imrs_server.cli import environment
from imrs_server.domain.principal import Role
from imrs_server.settings import TokenSettings
from imrs_server.transport import tokens
from imrs_server.wiring import trust

if TYPE_CHECKING:
    from uuid import UUID


@click.command()
@click.option("--role", "roles", multiple=True, required=True, type=click.Choice([str(r) for r in Role]))
@click.option("--tenant", type=click.UUID, help="The tenant; only a platform admin may have none.")
@click.option("--agent", help="The agent_id of a token with role agent.")
@click.option("--subject", default="cli", show_default=True, help="Who this is; stands in the audit log.")
@click.option("--hours", type=click.IntRange(1, 24 * 366), default=12, show_default=True)
def command(roles: tuple[str, ...], tenant: UUID | None, agent: str | None, subject: str, hours: int) -> None:
    """Print a token signed with the first of IMRS_JWT_SECRETS."""
    trusted = trust(environment.read(TokenSettings))
    try:
        signed = tokens.issue(
            trusted,
            roles=[Role(role) for role in roles],
            subject=subject,
            tenant_id=tenant,
            agent_id=agent,
            lifetime=timedelta(hours=hours),
        )
    except ValueError as error:
        raise click.ClickException(str(error)) from None
    click.echo(signed)
