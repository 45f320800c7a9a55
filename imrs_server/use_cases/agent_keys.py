"""Keys of single agents, which serve them in place of the provider's."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING

from imrs_server.domain.agent_key import AgentKey
from imrs_server.domain.credential import CredentialPath
from imrs_server.domain.errors import AgentNotFound, ProviderNotFound
from imrs_server.domain.principal import Role
from imrs_server.domain.provider import State
from imrs_server.domain.written import Written
from imrs_server.storage import agent_keys, agents, audit, changes, providers
from imrs_server.storage.changes import Change, Kind
from imrs_server.use_cases import keys

if TYPE_CHECKING:
    from uuid import UUID

    from imrs_server.adapters.vault import Vault
    from imrs_server.domain.principal import Principal
    from imrs_server.domain.secret import Secret
    from imrs_server.storage.database import Database, Tx


class AgentKeys:
    """Every method takes the tenant that the request names, None for the caller's own."""

    def __init__(self, database: Database, vault: Vault) -> None:
        self._database = database
        self._vault = vault

    def set(
        self, who: Principal, tenant_id: UUID | None, agent_id: str, provider_id: str, api_key: Secret
    ) -> Written[AgentKey]:
        """Give an agent a key of its own for a provider, or another one; the next call uses it.

        Raises AgentNotFound, ProviderNotFound, and what Vault may raise; then nothing is stored.
        """
        path = _path(who, tenant_id, agent_id, provider_id)
        with ExitStack() as stored, self._database.transaction(path.tenant_id) as tx:
            _require(tx, path, alive=True)
            agent_keys.claim(tx, path)
            before = agent_keys.get(tx, path)
            version = stored.enter_context(keys.stored(self._vault, path, api_key, keys.owner(tx)))
            after = agent_keys.put(tx, _noted(path, version, who))
            return Written(after, _announce(tx, who, "SetAgentKey", before, after))

    def delete(
        self, who: Principal, tenant_id: UUID | None, agent_id: str, provider_id: str
    ) -> Written[None]:
        """Take an agent's own key away; there need not be one.

        The database forgets it first: what a crash leaves in Vault is then an orphan, never a key that is
        noted and gone. Raises AgentNotFound, ProviderNotFound, and what Vault may raise: then the key is out
        of use, and another try removes it.
        """
        path = _path(who, tenant_id, agent_id, provider_id)
        with self._database.transaction(path.tenant_id) as tx:
            _require(tx, path, alive=False)
            agent_keys.claim(tx, path)
            before = agent_keys.get(tx, path)
            if before is None:
                revision = changes.current(tx).rev
            else:
                agent_keys.delete(tx, path)
                revision = _announce(tx, who, "DeleteAgentKey", before, None)
        with self._database.transaction(path.tenant_id) as tx:
            agent_keys.claim(tx, path)
            if agent_keys.get(tx, path) is None:
                self._vault.delete(path)
        return Written(None, revision)


def _path(who: Principal, tenant_id: UUID | None, agent_id: str, provider_id: str) -> CredentialPath:
    who.require(Role.TENANT_ADMIN, Role.PLATFORM_ADMIN)
    return CredentialPath(provider_id, who.tenant(tenant_id), agent_id)


def _require(tx: Tx, path: CredentialPath, *, alive: bool) -> None:
    assert path.tenant_id is not None
    assert path.agent_id is not None
    agent = agents.lock(tx, path.tenant_id, path.agent_id)
    if agent is None or (alive and agent.state is State.DELETED):
        raise AgentNotFound(agent_id=path.agent_id)
    provider = providers.get(tx, path.provider_id)
    if provider is None or (alive and provider.state is State.DELETED):
        raise ProviderNotFound(provider_id=path.provider_id)


def _noted(path: CredentialPath, version: int, who: Principal) -> AgentKey:
    assert path.tenant_id is not None
    assert path.agent_id is not None
    return AgentKey(
        tenant_id=path.tenant_id,
        agent_id=path.agent_id,
        provider_id=path.provider_id,
        key_version=version,
        set_by=who.subject,
    )


def _announce(tx: Tx, who: Principal, method: str, before: AgentKey | None, after: AgentKey | None) -> int:
    found = after or before
    assert found is not None
    audit.write(
        tx,
        who,
        method,
        ("agent_key", f"{found.agent_id}/{found.provider_id}"),
        before=before,
        after=after,
        tenant_id=found.tenant_id,
    )
    return changes.announce(tx, Change(Kind.AGENT, found.agent_id, found.tenant_id))
