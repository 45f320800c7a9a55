"""Standing rules at work: models that are new, or changed, reach every agent whose rule they match."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from psycopg.types.json import Jsonb

from imrs_server.domain.model import ModelFilter
from imrs_server.storage import model_filter, sql
from imrs_server.storage.shape import shape

if TYPE_CHECKING:
    from collections.abc import Sequence
    from uuid import UUID

    from imrs_server.storage.database import Tx

Q = sql.load(__file__)


def filters(tx: Tx) -> list[dict[str, Any]]:
    """The different filters of all rules of all tenants, the oldest first; many rules share few filters.

    As they are stored: an older one may lack what a ModelFilter has gained since.
    """
    return Q.filters.all(tx, lambda row: dict(row["filter"]))


def enable(tx: Tx, stored: dict[str, Any], model_ids: Sequence[str]) -> set[tuple[UUID, str]]:
    """Enable those of the models that match for every agent with a rule of that filter; what an agent already
    has, or once had and gave back, stays as it is. Returns the (tenant, agent) pairs that got something.

    It reaches into every tenant, so it needs ``Database.system``.
    """
    wanted = shape(ModelFilter)(stored)
    rows = model_filter.applied(Q.enable, wanted).all(
        tx,
        lambda row: (row["tenant_id"], row["agent_id"]),
        filter=Jsonb(stored),
        model_ids=list(model_ids),
        **model_filter.parameters(wanted),
    )
    return set(rows)
