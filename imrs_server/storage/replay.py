"""Decisions of one agent as a replay needs them: with the rating and the size of the call that followed."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from functools import lru_cache
from types import MappingProxyType
from typing import TYPE_CHECKING, NamedTuple
from uuid import UUID

from imrs_server.domain.cost_difference import Tokens
from imrs_server.domain.decision import asked
from imrs_server.domain.model import Model
from imrs_server.domain.replay import Logged
from imrs_server.storage import sql
from imrs_server.storage.shape import shape

if TYPE_CHECKING:
    from collections.abc import Collection

    from imrs_client.query import Query
    from imrs_server.domain.off_policy import Chances
    from imrs_server.storage.database import Tx
    from imrs_server.storage.sql import Row

Q = sql.load(__file__)

# A call that was made later than this after its decision is not looked for.
_LATEST_CALL = timedelta(days=1)

# Different requests of which the form is remembered.
_REMEMBERED = 4096


class Place(NamedTuple):
    """A place in the log, which goes from the newest to the oldest."""

    time: datetime
    decision_id: UUID


def end(time: datetime) -> Place:
    """The place before all decisions that were made before then."""
    return Place(time, UUID(int=0))


def page(
    tx: Tx, tenant_id: UUID, agent_id: str, *, start_time: datetime, before: Place, size: int
) -> tuple[list[Logged], Place | None]:
    """The newest decisions before a place, at most ``size``; and the place of the last, None at the end."""
    rows = Q.page.all(
        tx,
        lambda row: row,
        tenant_id=tenant_id,
        agent_id=agent_id,
        start_time=start_time,
        before_time=before.time,
        before_id=before.decision_id,
        latest_call=_LATEST_CALL,
        size=size,
    )
    last = Place(rows[-1]["create_time"], rows[-1]["decision_id"]) if len(rows) == size else None
    return [_logged(row) for row in rows], last


def models(tx: Tx, model_ids: Collection[str]) -> list[Model]:
    """Models of the catalogue, whether or not an agent may use them; without ``metadata``."""
    return Q.models.all(tx, shape(Model), model_ids=list(model_ids))


def _logged(row: Row) -> Logged:
    # Made by hand: a replay reads a hundred thousand of them.
    propensities = row["propensities"]
    return Logged(
        decision_id=row["decision_id"],
        task_type=row["task_type"],
        model_id=row["model_id"],
        query=_query(row["query"]),
        conversation_id=row["conversation_id"],
        agent_class=row["agent_class"] or "",
        propensity=row["propensity"],
        propensities=_chances(propensities) if propensities else {},
        rating=row["rating"],
        tokens=_tokens(row) if row["told"] else None,
    )


@lru_cache(_REMEMBERED)
def _query(kept: str | None) -> Query | None:
    return asked({} if kept is None else {"query": json.loads(kept)}, "")


@lru_cache(_REMEMBERED)
def _chances(kept: str) -> Chances:
    return MappingProxyType(json.loads(kept))


def _tokens(row: Row) -> Tokens:
    return Tokens(row["prompt_tokens"], row["completion_tokens"], row["cached_tokens"])
