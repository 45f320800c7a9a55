"""The folder of ``imrs dev``: its secrets, its settings, and the file that tells others how to reach it."""

from __future__ import annotations

import secrets
import shlex
import shutil
import sys
from datetime import timedelta
from ipaddress import ip_network
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import UUID

import click
from pydantic import SecretStr

from imrs_server.domain.principal import Role
from imrs_server.embedded import folder
from imrs_server.settings import Settings
from imrs_server.storage import databases, migrate
from imrs_server.transport import tokens
from imrs_server.wiring import trust

if TYPE_CHECKING:
    from imrs_server.embedded.openbao import OpenBao
    from imrs_server.embedded.postgres import Postgres

TENANT_ID = UUID("01930000-0000-7000-8000-000000000001")
AGENT_ID = "coder"
DATABASE = "imrs"
TOKEN_LIFETIME = timedelta(days=30)
LOOPBACK_NETWORKS = (ip_network("127.0.0.0/8"), ip_network("::1/128"))


class Environment:
    """One data folder."""

    def __init__(self, path: Path) -> None:
        self.folder = path
        self._file = path / "dev.env"

    def settings(self, postgres: Postgres, openbao: OpenBao, *, port: int, http_port: int) -> Settings:
        """Settings for the parts that run, on a migrated database.

        The environment of the user may tune the server; it never says where our parts are or what they trust.
        """
        databases.create(postgres.dsn, DATABASE)
        dsn = postgres.dsn_of(DATABASE)
        migrate.apply(dsn)
        return Settings(
            grpc_addr=f"{folder.LOOPBACK}:{port}",
            http_addr=f"{folder.LOOPBACK}:{http_port}",
            reflection=True,
            database_url=SecretStr(dsn),
            listen_database_url=None,
            vault_addr=openbao.address,
            vault_mount="secret",
            vault_namespace=None,
            vault_ca_bundle=None,
            vault_auth="approle",
            vault_auth_mount="",
            vault_role_id=openbao.role_id,
            vault_secret_id=SecretStr(openbao.secret_id),
            vault_secret_id_file=None,
            jwt_secrets=(SecretStr(self._jwt_secret()),),
            provider_allow=LOOPBACK_NETWORKS,
            log_format="console",
        )

    def announce(self, grpc_addr: str, http_addr: str, settings: Settings) -> None:
        """Write dev.env, whole or not at all, and print tokens and calls that work when pasted."""
        signed = {name: self._token(settings, *who) for name, who in _WHO.items()}
        lines = {
            "IMRS_GRPC_ADDR": grpc_addr,
            "IMRS_HTTP_ADDR": http_addr,
            **{f"IMRS_TOKEN_{name}": token for name, token in signed.items()},
            "IMRS_TENANT_ID": str(TENANT_ID),
        }
        folder.write_private(self._file, "".join(f"{name}={value}\n" for name, value in lines.items()))
        _print(grpc_addr, http_addr, signed, self._file)

    def forget(self) -> None:
        """Remove dev.env: nobody may find a server by it that is not there."""
        self._file.unlink(missing_ok=True)

    def _jwt_secret(self) -> str:
        path = self.folder / "jwt_secret"
        if not path.exists():
            folder.write_private(path, secrets.token_urlsafe(48))
        return path.read_text(encoding="utf-8")

    @staticmethod
    def _token(settings: Settings, role: Role, tenant_id: UUID | None, agent_id: str | None) -> str:
        return tokens.issue(
            trust(settings),
            roles=[role],
            subject=f"dev-{role.value.replace('_', '-')}",
            tenant_id=tenant_id,
            agent_id=agent_id,
            lifetime=TOKEN_LIFETIME,
        )


_WHO: dict[str, tuple[Role, UUID | None, str | None]] = {
    "PLATFORM_ADMIN": (Role.PLATFORM_ADMIN, None, None),
    "TENANT_ADMIN": (Role.TENANT_ADMIN, TENANT_ID, None),
    "AGENT": (Role.AGENT, TENANT_ID, AGENT_ID),
    "USER": (Role.USER, TENANT_ID, None),
}

_CALLS = (
    ("The providers, as platform admin", "PLATFORM_ADMIN", "{}", "AdminService/ListProviders"),
    ("The models of an agent, as tenant admin", "TENANT_ADMIN", f'{{"agent_id": "{AGENT_ID}"}}',
     "AdminService/ListAgentModels"),
    ("Which model for this request? As the agent itself", "AGENT",
     '{"message": "Write a Python function that parses a date"}', "RouteService/Route"),
    ("And why? Every candidate, with what became of it", "AGENT",
     '{"message": "Summarize this report", "max_cost_tier": "LOW"}', "RouteService/ExplainRoute"),
    ("A whole call, with no key: the echo is no model, it repeats what it is told", "TENANT_ADMIN",
     '{"route": {"agent_id": "echo"}, "messages": [{"role": "user", "content": "Hello"}], "stream": true}',
     "RouteService/Complete"),
)  # fmt: skip


def _print(grpc_addr: str, http_addr: str, signed: dict[str, str], file: Path) -> None:
    def heading(text: str) -> None:
        click.secho(text, bold=True)

    heading(f"\nIMRS serves gRPC on {grpc_addr}, OpenAI's API on http://{http_addr}/v1 and health on /readyz")
    click.echo(f"Addresses and tokens are also in {file} while this runs.\n")
    for name, token in signed.items():
        click.echo(f"{click.style(name.lower().replace('_', ' '), bold=True)}\n{token}")
    command = _grpcurl()
    for title, name, data, method in _CALLS:
        heading(f"\n# {title}")
        click.echo(
            f"{command} -plaintext -H 'authorization: Bearer {signed[name]}' -d '{data}' "
            f"{grpc_addr} imrs.v1.{method}"
        )
    click.echo("\nCtrl-C stops everything.")


def _grpcurl() -> str:
    """A grpcurl of the user's, else the one installed beside this interpreter."""
    beside = Path(sys.executable).with_name("grpcurl")
    return "grpcurl" if shutil.which("grpcurl") or not beside.exists() else shlex.quote(str(beside))
