"""What the environment says of a server, whole or in part."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Final

import click

from imrs_server.cli import environment
from imrs_server.cli.doctor.finding import Finding, Level
from imrs_server.settings import Settings

_SAYS_SERVER: Final = ("IMRS_DATABASE_URL", "IMRS_VAULT_ADDR", "IMRS_JWT_SECRETS")


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """The settings where they are valid; the DSNs even where others are not."""

    findings: list[Finding]
    settings: Settings | None = None
    dsn: str = ""
    listen_dsn: str = ""


def read() -> Parts:
    if not any(os.environ.get(name) for name in _SAYS_SERVER):
        says = "this environment says nothing of a server"
        advice = f"To look at one's database and Vault, set what it has: {', '.join(_SAYS_SERVER)}, ..."
        return Parts(findings=[Finding("settings", Level.SKIP, says, advice)])
    dsn = os.environ.get("IMRS_DATABASE_URL", "")
    listen_dsn = os.environ.get("IMRS_LISTEN_DATABASE_URL", "")
    try:
        settings = environment.server()
    except click.ClickException as refused:
        _, *lines = refused.message.splitlines()
        advice = "docs/operations.md has every setting."
        found = [Finding("settings", Level.FAIL, line.strip(), advice) for line in lines]
        return Parts(findings=found, dsn=dsn, listen_dsn=listen_dsn)
    ok = Finding("settings", Level.OK, "complete and well-formed")
    return Parts(findings=[ok], settings=settings, dsn=dsn, listen_dsn=listen_dsn)
