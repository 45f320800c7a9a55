"""What the warm index knows, read across tenants: all of it, or what changed."""

from __future__ import annotations

from struct import Struct
from sys import intern
from typing import TYPE_CHECKING, Any, NamedTuple

from psycopg.sql import SQL

from imrs_server.domain.agent_key import AgentKey
from imrs_server.domain.budget import Level
from imrs_server.domain.cells import Cells
from imrs_server.domain.defaults import Defaults
from imrs_server.domain.endpoint import Endpoint
from imrs_server.domain.preference import Preference
from imrs_server.domain.provider import Provider
from imrs_server.storage import sql
from imrs_server.storage.shape import shape

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence
    from datetime import datetime
    from decimal import Decimal
    from uuid import UUID

    from imrs_server.storage.database import Tx
    from imrs_server.storage.sql import Query, Row

Q = sql.load(__file__)


class Key(NamedTuple):
    """An agent of a tenant; where evidence is meant, an empty agent_id is the whole tenant."""

    tenant_id: UUID
    agent_id: str


class Place(NamedTuple):
    """What evidence is kept for: a task of an agent or, where agent_id is empty, of the tenant."""

    tenant_id: UUID
    agent_id: str
    task_type: str


class Owners(NamedTuple):
    """Of evidence, in the order of their keys: those before one, or from one on."""

    until: Key | None = None
    since: Key | None = None


class ModelRow(NamedTuple):
    """A model as JSON, with its number in evidence and in packed settings."""

    model_id: str
    number: int
    row: str


class Settings(NamedTuple):
    """An agent's models: those with an own priority at most as rows of PLAIN, the others as JSON."""

    plain: bytes
    settings: str


class BudgetRow(NamedTuple):
    """What a budget allows, and what is left of it; not how much was spent, which moves with every call."""

    key: Key
    limit_usd: Decimal | None
    limit_tokens: int | None
    reset_time: datetime
    level: Level


EVERYBODY = Owners()
_CELLS = ("uuid", "text", "text", "bytea", "bytea", "bytea")

NO_SETTINGS = Settings(b"", "[]")

PLAIN = Struct(">qh?")
"""Number, priority or -1, enabled."""


def providers(tx: Tx, provider_ids: Collection[str] | None = None) -> list[Provider]:
    return Q.providers.all(tx, shape(Provider), provider_ids=_list(provider_ids))


def models(
    tx: Tx, model_ids: Collection[str] | None = None, *, of: Collection[Key] | None = None
) -> list[ModelRow]:
    """Models that some agent may use, or one of some agents; also deleted ones; without ``metadata``."""
    arguments = {"model_ids": _list(model_ids), **_keys(of)}
    return [ModelRow(*row) for row in _copied(tx, Q.models, ("text", "int8", "text"), arguments)]


def agents(tx: Tx, keys: Collection[Key] | None = None) -> list[tuple[Key, str]]:
    """Agents that are not deleted, without what only people read, as JSON."""
    found = Q.agents.all(tx, lambda row: (_key(row), row["row"]), **_keys(keys))
    return [each for each in found if keys is None or each[0] in keys]


def agent_models(tx: Tx, keys: Collection[Key] | None = None) -> dict[Key, Settings]:
    """Settings of agents for models. A row without a priority of its own has that of its standing rule."""
    rows = _of_agents(tx, Q.agent_models, ("bytea", "text"), keys)
    return {key: Settings(*packed) for key, *packed in rows}


def agent_keys(tx: Tx, keys: Collection[Key] | None = None) -> list[AgentKey]:
    found = Q.agent_keys.all(tx, shape(AgentKey), **_keys(keys))
    return [each for each in found if keys is None or Key(each.tenant_id, each.agent_id) in keys]


def revoked_tokens(tx: Tx) -> frozenset[str]:
    """Ids of revoked tokens that somebody might still take for good."""
    return frozenset(Q.revoked_tokens.all(tx, lambda row: str(row["token_id"])))


def endpoints(tx: Tx, model_ids: Collection[str] | None = None) -> dict[str, tuple[Endpoint, ...]]:
    """Places of the model pool by model_id, without what servers count by themselves."""
    found: dict[str, list[Endpoint]] = {}
    for each in Q.endpoints.all(tx, shape(Endpoint), model_ids=_list(model_ids)):
        found.setdefault(each.model_id, []).append(each)
    return {model_id: tuple(known) for model_id, known in found.items()}


def preferences(tx: Tx) -> list[Preference]:
    return Q.preferences.all(tx, shape(Preference))


def defaults(tx: Tx, tenant_ids: Collection[UUID] | None = None) -> list[Defaults]:
    """The global row always, and those of tenants."""
    return Q.defaults.all(tx, shape(Defaults), tenant_ids=_list(tenant_ids))


def budgets(tx: Tx, keys: Collection[Key] | None = None) -> list[BudgetRow]:
    """Of agents and, under an empty agent_id, of tenants."""
    found = Q.budgets.all(tx, _budget, **_keys(keys))
    return [each for each in found if keys is None or each.key in keys]


def halves(tx: Tx) -> tuple[Owners, ...]:
    """All there are, in two parts with about as many agents each."""
    middle = Q.middle_agent.one(tx, _key)
    return (EVERYBODY,) if middle is None else (Owners(until=middle), Owners(since=middle))


def evidence(tx: Tx, owners: Owners = EVERYBODY) -> Iterator[tuple[Place, Cells]]:
    """What was learned by some, or by all."""
    ends = {"until": owners.until, "since": owners.since}
    arguments = {
        f"{end}_{name}": key and getattr(key, name) for end, key in ends.items() for name in Key._fields
    }
    return _cells(_copied(tx, Q.evidence, _CELLS, arguments))


def evidence_of(tx: Tx, places: Collection[Place]) -> Iterator[tuple[Place, Cells]]:
    """What was learned in some places."""
    names = zip(Place._fields, zip(*places, strict=True), strict=True)
    arguments = {f"{name}s": list(values) for name, values in names}
    return _cells(_copied(tx, Q.evidence_of, _CELLS, arguments))


def _cells(rows: Iterator[tuple[Any, ...]]) -> Iterator[tuple[Place, Cells]]:
    for tenant_id, agent_id, task_type, *sums in rows:
        # Thousands of agents have the same few task types.
        yield Place(tenant_id, agent_id, intern(task_type)), Cells(*sums)


def _of_agents(
    tx: Tx, query: Query, types: Sequence[str], keys: Collection[Key] | None
) -> Iterator[tuple[Any, ...]]:
    """Rows whose first two columns are a key, here one."""
    for tenant_id, agent_id, *columns in _copied(tx, query, ("uuid", "text", *types), _keys(keys)):
        key = Key(tenant_id, agent_id)
        if keys is None or key in keys:
            yield key, *columns


def _copied(
    tx: Tx, query: Query, types: Sequence[str], arguments: Mapping[str, Any]
) -> Iterator[tuple[Any, ...]]:
    """The rows of a query by binary COPY: no text is made of bytes, and they are never all there twice."""
    statement = SQL("copy ({}) to stdout (format binary)").format(SQL(query.text))
    with tx.cursor() as cursor, cursor.copy(statement, arguments) as stream:
        stream.set_types(types)
        yield from stream.rows()


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


def _budget(row: Row) -> BudgetRow:
    return BudgetRow(_key(row), row["limit_usd"], row["limit_tokens"], row["reset_time"], Level(row["level"]))


def _key(row: Row) -> Key:
    return Key(row["tenant_id"], row["agent_id"])
