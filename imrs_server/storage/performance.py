"""How models do, added up from ``messages``, from votes on what nobody reported, and from ``decisions``."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Any

from imrs_server.domain.performance import Performance, Point
from imrs_server.storage import sql
from imrs_server.storage.listing import Listing
from imrs_server.storage.shape import shape

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from uuid import UUID

    from imrs_server.domain.listing import Page, PageRequest
    from imrs_server.domain.performance import PerformanceFilter
    from imrs_server.storage.database import Tx

Q = sql.load(__file__)

_LISTING = Listing(
    key="model_id",
    orders={
        "score": ("score", "double precision"),
        "avg_rating": ("avg_rating", "double precision"),
        "rating_count": ("rating_count", "double precision"),
        "usage_count": ("usage_count", "bigint"),
        "avg_latency_ms": ("avg_latency_ms", "double precision"),
        "model_id": ("model_id", "text"),
    },
    hidden=frozenset({"model_id"}),
)


def list_page(
    tx: Tx, request: PageRequest, tenant_id: UUID | None, wanted: PerformanceFilter
) -> Page[Performance]:
    """One row a model, without trends; of one tenant, or of all of them together."""
    return _LISTING.page(
        tx, Q.list, shape(Performance), request, **_parameters(tenant_id, wanted), model_id=wanted.model_id
    )


def trends(
    tx: Tx, tenant_id: UUID | None, wanted: PerformanceFilter, model_ids: Sequence[str]
) -> Mapping[str, Sequence[Point]]:
    """The days on which each of these models was called or rated, the oldest first."""
    rows = Q.trend.all(
        tx,
        lambda row: (row["model_id"], shape(Point)(row)),
        **_parameters(tenant_id, wanted),
        model_ids=list(model_ids),
    )
    found: dict[str, list[Point]] = defaultdict(list)
    for model_id, point in rows:
        found[model_id].append(point)
    return found


def _parameters(tenant_id: UUID | None, wanted: PerformanceFilter) -> dict[str, Any]:
    return {
        "tenant_id": tenant_id,
        "agent_id": wanted.agent_id,
        "task_type": wanted.task_type,
        "start_time": wanted.start_time,
        "end_time": wanted.end_time,
    }
