"""The composition root: the one place that knows how the parts fit together."""

from __future__ import annotations

from typing import TYPE_CHECKING

import structlog

from imrs_server.adapters.vault import Vault
from imrs_server.transport.tokens import Trust

if TYPE_CHECKING:
    from imrs_server.settings import Settings

log = structlog.get_logger()

DRAIN_SECONDS = 20.0


def trust(settings: Settings) -> Trust:
    """Which tokens count."""
    return Trust(
        secrets=tuple(each.get_secret_value().encode() for each in settings.jwt_secrets),
        issuer=settings.jwt_issuer,
        audience=settings.jwt_audience,
    )


def vault(settings: Settings) -> Vault:
    return Vault(
        settings.vault_addr,
        role_id=lambda: settings.vault_role_id,
        secret_id=lambda: settings.secret_id,
        mount=settings.vault_mount,
        namespace=settings.vault_namespace,
    )
