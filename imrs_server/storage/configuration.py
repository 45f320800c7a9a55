"""What configuration files own, what their applies changed, and many of the things that they are about."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from psycopg.types.json import Jsonb

from imrs_server.domain.agent import Agent, AgentModel, AgentRule
from imrs_server.domain.budget import Budget
from imrs_server.domain.configuration import Apply, Owned, Target
from imrs_server.domain.endpoint import Endpoint
from imrs_server.domain.model import Model
from imrs_server.domain.preference import Preference
from imrs_server.domain.provider import Provider
from imrs_server.storage import sql
from imrs_server.storage.shape import shape

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable
    from uuid import UUID

    from imrs_server.storage.database import Tx

Q = sql.load(__file__)

MOST_REMEMBERED = 20


def take_turns(tx: Tx, tenant_id: UUID | None, *, platform: bool) -> None:
    """Let nobody else apply a file for this tenant, or for the ``platform``, until the transaction ends."""
    if platform:
        Q.take_turn.run(tx, whose="")
    if tenant_id is not None:
        Q.take_turn.run(tx, whose=str(tenant_id))


def owned(tx: Tx, tenant_id: UUID | None, source: str) -> dict[Target, Owned]:
    """What the file owns by its last apply."""
    found = Q.owned.all(tx, _owned, tenant_id=tenant_id, source=source)
    return {each.target: each for each in found}


def owned_elsewhere(tx: Tx, tenant_id: UUID | None, source: str, platform: Collection[str]) -> set[Target]:
    """What other files own too: for this tenant, and, of the sections in ``platform``, for any."""
    return set(
        Q.owned_elsewhere.all(
            tx,
            lambda row: _target(row["target"]),
            tenant_id=tenant_id,
            source=source,
            platform=[f"{each}/" for each in platform],
        )
    )


def own(tx: Tx, tenant_id: UUID | None, source: str, wanted: Iterable[Owned]) -> None:
    """Note what the file owns now, in place of what was noted of the same things."""
    rows = [_row(each) for each in wanted]
    if rows:
        Q.own.run(tx, tenant_id=tenant_id, source=source, owned=Jsonb(rows))


def disown(tx: Tx, tenant_id: UUID | None, source: str, targets: Collection[Target]) -> None:
    if targets:
        keys = [_key(each) for each in targets]
        Q.disown.run(tx, tenant_id=tenant_id, source=source, targets=keys)


def remember(tx: Tx, tenant_id: UUID | None, apply: Apply) -> None:
    """Keep an apply, so that it can be undone; of each file the last twenty."""
    Q.remember.run(
        tx,
        apply_id=apply.apply_id,
        tenant_id=tenant_id,
        source=apply.source,
        environment=apply.environment,
        actor=apply.actor,
        changes=Jsonb([shape(type(each)).json(each) for each in apply.changes]),
        owned=Jsonb([shape(Owned).json(each) for each in apply.owned]),
    )
    Q.forget.run(tx, tenant_id=tenant_id, source=apply.source, most=MOST_REMEMBERED)


def last(tx: Tx, tenant_id: UUID | None, source: str) -> Apply | None:
    """The newest apply that is not undone."""
    return Q.last.one(tx, shape(Apply), tenant_id=tenant_id, source=source)


def undone(tx: Tx, apply_id: UUID) -> None:
    Q.undone.run(tx, apply_id=apply_id)


def applied(tx: Tx, tenant_id: UUID | None, source: str, digest: bytes) -> bool:
    """Whether content of this SHA-256 was the last to be applied from a file."""
    return bool(Q.applied.value(tx, tenant_id=tenant_id, source=source, digest=digest))


def note_applied(tx: Tx, tenant_id: UUID | None, source: str, digest: bytes) -> None:
    """Keep the SHA-256 of what is applied from a file now."""
    Q.note_applied.run(tx, tenant_id=tenant_id, source=source, digest=digest)


def sources(tx: Tx) -> list[tuple[UUID | None, str]]:
    """Every file that owns something, with its tenant; needs ``Database.system``."""
    return Q.sources.all(tx, lambda row: (row["tenant_id"], str(row["source"])))


def providers(tx: Tx, ids: Collection[str], *, all: bool = False) -> list[Provider]:
    return Q.providers.all(tx, shape(Provider), ids=list(ids), all=all)


def models(tx: Tx, ids: Collection[str], *, all: bool = False) -> list[Model]:
    """The named models; with ``all`` also those that were made, or changed, by hand."""
    return Q.models.all(tx, shape(Model), ids=list(ids), all=all)


def preferences(tx: Tx, ids: Collection[str], *, all: bool = False) -> list[Preference]:
    return Q.preferences.all(tx, shape(Preference), ids=list(ids), all=all)


def agents(tx: Tx, tenant_id: UUID, ids: Collection[str], *, all: bool = False) -> list[Agent]:
    return Q.agents.all(tx, shape(Agent), tenant_id=tenant_id, ids=list(ids), all=all)


def agent_models(
    tx: Tx, tenant_id: UUID, agent_ids: Collection[str], ids: Collection[str], *, all: bool = False
) -> list[AgentModel]:
    """Of these agents the models named ``agent_id/model_id``, or all; enabled or not."""
    return Q.agent_models.all(
        tx, shape(AgentModel), tenant_id=tenant_id, agent_ids=list(agent_ids), ids=list(ids), all=all
    )


def rules(tx: Tx, tenant_id: UUID, agent_ids: Collection[str]) -> list[AgentRule]:
    return Q.rules.all(tx, shape(AgentRule), tenant_id=tenant_id, agent_ids=list(agent_ids))


def endpoints(tx: Tx, ids: Collection[str], *, all: bool = False) -> list[Endpoint]:
    return Q.endpoints.all(tx, shape(Endpoint), ids=list(ids), all=all)


def budgets(tx: Tx, tenant_id: UUID) -> list[Budget]:
    return Q.budgets.all(tx, shape(Budget), tenant_id=tenant_id)


def _key(target: Target) -> str:
    return f"{target.section}/{target.id}"


def _target(key: str) -> Target:
    section, _, rest = key.partition("/")
    return Target(section, rest)


def _owned(row: dict[str, Any]) -> Owned:
    return Owned(target=_target(row["target"]), fields=row["fields"], created=row["created"])


def _row(owned: Owned) -> dict[str, Any]:
    return {"target": _key(owned.target), "fields": owned.fields, "created": owned.created}
