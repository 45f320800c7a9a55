"""Standing rules at work: models that are new, or changed, reach every agent whose rule they match."""

from __future__ import annotations

from typing import TYPE_CHECKING

from imrs_server.domain.model import ModelFilter
from imrs_server.storage import model_filter, sql
from imrs_server.storage.shape import shape

if TYPE_CHECKING:
    from collections.abc import Sequence
    from uuid import UUID

    from imrs_server.storage.database import Tx

Q = sql.load(__file__)


def filters(tx: Tx) -> list[ModelFilter]:
    """The different filters of all rules of all tenants, the oldest first; many rules share few filters."""
    return Q.filters.all(tx, lambda row: shape(ModelFilter)(row["filter"]))


def enable(tx: Tx, filter: ModelFilter, model_ids: Sequence[str]) -> set[tuple[UUID, str]]:
    """Enable those of the models that match for every agent with a rule of that filter; what an agent already
    has, or once had and gave back, stays as it is. Returns the (tenant, agent) pairs that got something.

    It reaches into every tenant, so it needs ``Database.system``.
    """
    rows = model_filter.applied(Q.enable, filter).all(
        tx,
        lambda row: (row["tenant_id"], row["agent_id"]),
        filter=shape(ModelFilter).column(filter),
        model_ids=list(model_ids),
        **model_filter.parameters(filter),
    )
    return set(rows)
