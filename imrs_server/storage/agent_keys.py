"""The table ``agent_keys``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from imrs_server.domain.agent_key import AgentKey
from imrs_server.storage import sql
from imrs_server.storage.shape import shape

if TYPE_CHECKING:
    from imrs_server.domain.credential import CredentialPath
    from imrs_server.storage.database import Tx

Q = sql.load(__file__)


def claim(tx: Tx, path: CredentialPath) -> None:
    """Let nobody else set, take away or sweep this key until the transaction ends."""
    Q.claim.run(tx, path=str(path))


def get(tx: Tx, path: CredentialPath) -> AgentKey | None:
    return Q.get.one(
        tx,
        shape(AgentKey),
        tenant_id=path.tenant_id,
        agent_id=path.agent_id,
        provider_id=path.provider_id,
    )


def put(tx: Tx, key: AgentKey) -> AgentKey:
    """Note a key, the first one or a new version."""
    found = Q.put.one(
        tx,
        shape(AgentKey),
        tenant_id=key.tenant_id,
        agent_id=key.agent_id,
        provider_id=key.provider_id,
        key_version=key.key_version,
        set_by=key.set_by,
    )
    assert found is not None
    return found


def delete(tx: Tx, path: CredentialPath) -> None:
    Q.delete.run(tx, tenant_id=path.tenant_id, agent_id=path.agent_id, provider_id=path.provider_id)
