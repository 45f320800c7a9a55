"""What the warm index knows, read across tenants: all of it, or what changed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from imrs_server.domain.agent import Agent, AgentModel
from imrs_server.domain.agent_key import AgentKey
from imrs_server.domain.defaults import Defaults
from imrs_server.domain.evidence import Evidence
from imrs_server.domain.model import Model
from imrs_server.domain.preference import Preference
from imrs_server.domain.provider import Provider
from imrs_server.storage import sql
from imrs_server.storage.shape import shape

if TYPE_CHECKING:
    from collections.abc import Collection
    from uuid import UUID

    from imrs_server.storage.database import Tx
    from imrs_server.storage.sql import Row

Q = sql.load(__file__)


class Key(NamedTuple):
    """An agent of a tenant; where evidence is meant, an empty agent_id is the whole tenant."""

    tenant_id: UUID
    agent_id: str


@dataclass(frozen=True, slots=True)
class Cell:
    """A row of ``evidence``."""

    key: Key
    task_type: str
    model_id: str
    evidence: Evidence


def providers(tx: Tx, provider_ids: Collection[str] | None = None) -> list[Provider]:
    return Q.providers.all(tx, shape(Provider), provider_ids=_list(provider_ids))


def models(tx: Tx, model_ids: Collection[str] | None = None) -> list[Model]:
    """Models that some agent may use, also deleted ones; without ``metadata``."""
    return Q.models.all(tx, shape(Model), model_ids=_list(model_ids))


def agents(tx: Tx, keys: Collection[Key] | None = None) -> list[Agent]:
    """Agents that are not deleted, without what only people read."""
    found = Q.agents.all(tx, shape(Agent), **_keys(keys))
    return [each for each in found if keys is None or Key(each.tenant_id, each.agent_id) in keys]


def agent_models(tx: Tx, keys: Collection[Key] | None = None) -> list[tuple[Key, AgentModel]]:
    """Settings of agents for models. A row without a priority of its own has that of its standing rule."""
    found = Q.agent_models.all(tx, _owned, **_keys(keys))
    return [each for each in found if keys is None or each[0] in keys]


def agent_keys(tx: Tx, keys: Collection[Key] | None = None) -> list[AgentKey]:
    found = Q.agent_keys.all(tx, shape(AgentKey), **_keys(keys))
    return [each for each in found if keys is None or Key(each.tenant_id, each.agent_id) in keys]


def revoked_tokens(tx: Tx) -> frozenset[str]:
    """Ids of revoked tokens that somebody might still take for good."""
    return frozenset(Q.revoked_tokens.all(tx, lambda row: str(row["token_id"])))


def preferences(tx: Tx) -> list[Preference]:
    return Q.preferences.all(tx, shape(Preference))


def defaults(tx: Tx, tenant_ids: Collection[UUID] | None = None) -> list[Defaults]:
    """The global row always, and those of tenants."""
    return Q.defaults.all(tx, shape(Defaults), tenant_ids=_list(tenant_ids))


def evidence(tx: Tx, keys: Collection[Key] | None = None) -> list[Cell]:
    found = Q.evidence.all(tx, _cell, **_keys(keys))
    return [each for each in found if keys is None or each.key in keys]


def _list(values: Collection[Any] | None) -> list[Any] | None:
    return None if values is None else list(values)


def _keys(keys: Collection[Key] | None) -> dict[str, list[Any] | None]:
    """Two lists, whose combinations hold all keys: an index serves these, which it does not serve pairs."""
    if keys is None:
        return {"tenant_ids": None, "agent_ids": None}
    return {
        "tenant_ids": sorted({each.tenant_id for each in keys}),
        "agent_ids": sorted({each.agent_id for each in keys}),
    }


def _owned(row: Row) -> tuple[Key, AgentModel]:
    return Key(row["tenant_id"], row["agent_id"]), shape(AgentModel)(row)


def _cell(row: Row) -> Cell:
    key = Key(row.pop("tenant_id"), row.pop("agent_id"))
    return Cell(key, row.pop("task_type"), row.pop("model_id"), Evidence(**row))
