"""A whole server on real parts, and people of every role who call it."""

from __future__ import annotations

from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from ipaddress import ip_network
from typing import TYPE_CHECKING, Any
from uuid import UUID

import psycopg
from pydantic import SecretStr

from imrs_client.ids import new_id
from imrs_server.domain.principal import Role
from imrs_server.settings import Settings
from imrs_server.transport import tokens
from imrs_server.wiring import App, trust
from tests.support import patience
from tests.support.contents import counted

if TYPE_CHECKING:
    from collections.abc import Iterator

    from imrs_client import ImrsClient
    from tests.conftest import Vault

SECRET = "a secret of the tests of more than 32 bytes"


def settings(database: str, vault: Vault, **changes: Any) -> Settings:
    """Settings for a server on a free port."""
    known: dict[str, Any] = {
        "grpc_addr": "127.0.0.1:0",
        "reflection": True,
        "database_url": SecretStr(database),
        "vault_addr": vault.address,
        "vault_role_id": vault.role_id,
        "vault_secret_id": SecretStr(vault.secret_id),
        "jwt_secrets": (SecretStr(SECRET),),
        "provider_allow": (ip_network("127.0.0.0/8"),),
    }
    return Settings(**(known | changes))


@dataclass
class Service:
    """A running server. Clients that it makes are closed with it."""

    app: App
    settings: Settings
    tenant_id: UUID
    stack: ExitStack = field(repr=False)

    def token(self, *roles: Role, tenant_id: UUID | None = None, agent_id: str | None = None) -> str:
        """A token of this server's; of its tenant unless it is a platform admin's."""
        platform = set(roles) == {Role.PLATFORM_ADMIN}
        return tokens.issue(
            trust(self.settings),
            roles=roles,
            subject="-".join(roles),
            tenant_id=tenant_id or (None if platform else self.tenant_id),
            agent_id=agent_id,
        )

    def client(self, *roles: Role, tenant_id: UUID | None = None, agent_id: str | None = None) -> ImrsClient:
        token = self.token(*roles, tenant_id=tenant_id, agent_id=agent_id)
        return self.stack.enter_context(patience.client(self.app.address, token))

    @property
    def platform(self) -> ImrsClient:
        return self.client(Role.PLATFORM_ADMIN)

    @property
    def tenant(self) -> ImrsClient:
        return self.client(Role.TENANT_ADMIN)

    @property
    def user(self) -> ImrsClient:
        return self.client(Role.USER)

    def agent(self, agent_id: str) -> ImrsClient:
        return self.client(Role.AGENT, agent_id=agent_id)

    def settled(self, client: ImrsClient) -> None:
        """Wait until Route knows of the last write of a client."""
        assert self.app.index.wait_for(client.last_revision, 20)

    def caught_up(self) -> None:
        """Wait until Route knows of whatever was written until now, by whomever."""
        with psycopg.connect(self.settings.database_url.get_secret_value()) as connection:
            [(revision,)] = connection.execute("select rev from index_revision")
        assert self.app.index.wait_for(revision, 20)

    def learned(self) -> None:
        """Wait until all that was decided, recorded and rated is counted, and Route knows of it.

        Until then evidence moves by itself.
        """
        assert self.app.decisions.flush()
        counted(self.settings.database_url.get_secret_value())
        self.caught_up()


@contextmanager
def serving(database: str, vault: Vault, *, scorer: Any = None, **changes: Any) -> Iterator[Service]:
    """Start a server and wait until it is ready."""
    found = settings(database, vault, **changes)
    app = App(found, **({"scorer": scorer} if scorer else {}))
    with app, ExitStack() as stack:
        assert app.wait_ready(60)
        yield Service(app, found, new_id(), stack)
