"""The table ``decisions``: written in bulk as ``imrs_system``, read by tenant."""

from __future__ import annotations

from dataclasses import fields
from operator import attrgetter
from typing import TYPE_CHECKING, Any

import psycopg
from psycopg.types.json import Jsonb

from imrs_client.ids import time_of
from imrs_server.domain.decision import DecisionRecord, record
from imrs_server.storage import copy_text, partitions, sql
from imrs_server.storage.listing import Listing
from imrs_server.storage.partitions import MissingPartition, Table
from imrs_server.storage.shape import shape

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import datetime
    from uuid import UUID

    from imrs_client.ranked import Reason
    from imrs_server.domain.decision import Decision
    from imrs_server.domain.listing import Page, PageRequest
    from imrs_server.storage.database import Tx

Q = sql.load(__file__)

# The order of the columns in the query `copy`, after decision_id and create_time.
_REST = (
    "tenant_id", "agent_id", "task_type", "confidence", "source", "model_id", "reason", "fallback_model_ids",
    "candidates_total", "candidates_eligible", "index_revision", "stale", "score", "propensity", "request_id",
    "conversation_id", "detail",
)  # fmt: skip
_COLUMNS = ("decision_id", "create_time", *_REST)
_rest = attrgetter(*_REST)
assert set(_COLUMNS) == {each.name for each in fields(DecisionRecord)}

_LISTING = Listing(
    key="decision_id",
    orders={
        "create_time": ("create_time", "timestamptz"),
        "decision_id": ("decision_id", "uuid"),
    },
    hidden=frozenset({"decision_id"}),
)


def copy(tx: Tx, made: Sequence[Decision]) -> None:
    """Append the records of decisions by COPY; nothing is stored when one of them cannot be.

    Route makes thousands a second, most of which differ in little more than id and time: the rest of the row
    is made once for all of them.
    """
    rests: dict[object, str] = {}
    times: dict[int, str] = {}
    rows = []
    for each in made:
        key = _alike(each)
        rest = rests.get(key)
        if rest is None:
            rest = rests[key] = copy_text.row(_rest(record(each)))
        number = each.decision_id.int
        milliseconds = number >> 80
        time = times.get(milliseconds)
        if time is None:
            time = times[milliseconds] = str(each.create_time)
        rows.append(f"{number:032x}\t{time}\t{rest}\n")
    _copy(tx, rows)


def _alike(decision: Decision) -> object:
    """Equal for decisions whose records differ in id and time at most."""
    if decision.propensities or (decision.shadow and decision.shadow.draws):
        return decision.decision_id
    return (
        id(decision.answer),
        id(decision.query),
        decision.agent_class,
        decision.conversation_id,
        decision.request_id,
        decision.index_revision,
        decision.stale,
    )


def _row(each: DecisionRecord) -> str:
    return f"{each.decision_id}\t{each.create_time}\t{copy_text.row(_rest(each))}\n"


def _copy(tx: Tx, rows: Iterable[str]) -> None:
    with tx.cursor() as cursor, cursor.copy(Q.copy.text) as stream:
        stream.write("".join(rows))


def insert(tx: Tx, records: Sequence[DecisionRecord]) -> None:
    """Append rows; those that are there already, from an attempt whose end was not seen, are left alone."""
    with tx.cursor() as cursor:
        cursor.executemany(Q.insert.text, [_columns(each) for each in records])


def add(tx: Tx, records: Sequence[DecisionRecord]) -> None:
    """Append rows by COPY; where some are there already, the others alone.

    Raises MissingPartition, with the oldest of the times.
    """
    try:
        with tx.transaction():
            _copy(tx, [_row(each) for each in records])
    except psycopg.errors.UniqueViolation:
        insert(tx, records)
    except psycopg.errors.CheckViolation as error:
        if partitions.is_missing(error):
            raise MissingPartition(Table.DECISIONS, min(each.create_time for each in records)) from error
        raise


def known_models(tx: Tx, model_ids: Iterable[str]) -> frozenset[str]:
    """Which of these the catalogue has or had."""
    return frozenset(Q.known_models.all(tx, lambda row: str(row["model_id"]), model_ids=list(model_ids)))


def get(tx: Tx, tenant_id: UUID, decision_id: UUID) -> DecisionRecord | None:
    """One decision of a tenant; the time inside the id says which partition holds it."""
    time = time_of(decision_id)
    if time is None:
        return None
    return Q.get.one(
        tx, shape(DecisionRecord), tenant_id=tenant_id, decision_id=decision_id, create_time=time
    )


def list_page(
    tx: Tx,
    request: PageRequest,
    tenant_id: UUID | None,
    *,
    agent_id: str,
    reason: Reason | None,
    start_time: datetime | None,
    end_time: datetime | None,
) -> Page[DecisionRecord]:
    """Decisions of one tenant, or of all."""
    return _LISTING.page(
        tx,
        Q.list,
        shape(DecisionRecord),
        request,
        tenant_id=tenant_id,
        agent_id=agent_id,
        reason=reason,
        start_time=start_time,
        end_time=end_time,
    )


def _columns(record: DecisionRecord) -> dict[str, Any]:
    columns = {name: getattr(record, name) for name in _COLUMNS}
    return columns | {
        "fallback_model_ids": Jsonb(list(record.fallback_model_ids)),
        "detail": Jsonb(record.detail),
    }
