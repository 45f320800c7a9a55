"""The table ``messages``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from psycopg.types.json import Jsonb

from imrs_server.domain.message import Message
from imrs_server.domain.pricing import Price
from imrs_server.storage import sql
from imrs_server.storage.partitions import Table, needing
from imrs_server.storage.shape import shape

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import datetime
    from uuid import UUID

    from imrs_server.domain.votes import Vote
    from imrs_server.storage.database import Tx

Q = sql.load(__file__)


def lock(tx: Tx, tenant_id: UUID, message_id: UUID) -> None:
    """Let nobody else record a message of this id, or vote on it, until the transaction ends.

    A message and its votes may come in any order and at once; taking turns is what keeps a vote that waits
    for its message from being overlooked.
    """
    Q.lock.run(tx, tenant_id=str(tenant_id), message_id=str(message_id))


def try_lock(tx: Tx, messages: Sequence[tuple[UUID, UUID]]) -> Callable[[], list[bool]]:
    """Lock messages, by tenant and id, without waiting; answers for each whether it is locked now."""
    return Q.try_lock.ask(
        tx,
        lambda row: bool(row["locked"]),
        tenant_ids=[str(tenant_id) for tenant_id, _ in messages],
        message_ids=[str(message_id) for _, message_id in messages],
    )


def get(tx: Tx, tenant_id: UUID, message_id: UUID) -> Message | None:
    return Q.get.one(tx, shape(Message), tenant_id=tenant_id, message_id=message_id)


def insert(tx: Tx, message: Message) -> None:
    """Store a message whose id was locked and is free, without its rating. Raises MissingPartition."""
    with needing(Table.MESSAGES, message.partition_time):
        Q.insert.run(
            tx,
            **_columns(message),
            agent_id=message.agent_id,
            model_id=message.model_id,
            task_type=message.task_type,
            create_time=message.create_time,
        )


def update(tx: Tx, message: Message) -> None:
    """Store what a second report may change."""
    Q.update.run(tx, **_columns(message))


def show_rating(tx: Tx, message: Message) -> Message:
    """Let the vote that speaks for the message be its rating."""
    found = Q.show_rating.one(
        tx,
        shape(Message),
        tenant_id=message.tenant_id,
        message_id=message.message_id,
        partition_time=message.partition_time,
    )
    assert found is not None
    return found


def show_ratings(tx: Tx, shown: Sequence[tuple[datetime, Vote]]) -> None:
    """Let votes be the ratings of their locked messages, each beside its message's partition_time."""
    Q.show_ratings.run(
        tx,
        tenant_id=[each.tenant_id for _, each in shown],
        message_id=[each.cast.message_id for _, each in shown],
        partition_time=[partition_time for partition_time, _ in shown],
        rating=[each.cast.rating for _, each in shown],
        feedback_type=[each.cast.feedback_type for _, each in shown],
        feedback_time=[each.cast.create_time for _, each in shown],
    )


def price(tx: Tx, tenant_id: UUID, agent_id: str, model_id: str) -> Price | None:
    """What a model costs an agent now; None where there is no such model, deleted ones included."""
    return Q.price.one(tx, shape(Price), tenant_id=tenant_id, agent_id=agent_id, model_id=model_id)


def _columns(message: Message) -> dict[str, Any]:
    return {
        "tenant_id": message.tenant_id,
        "message_id": message.message_id,
        "partition_time": message.partition_time,
        "decision_id": message.decision_id,
        "conversation_id": message.conversation_id,
        "tools_used": Jsonb(list(message.tools_used)),
        "latency_ms": message.latency_ms,
        "prompt_tokens": message.prompt_tokens,
        "completion_tokens": message.completion_tokens,
        "cached_tokens": message.cached_tokens,
        "tokens_estimated": message.tokens_estimated,
        "cost_usd": message.cost_usd,
        "cost_priced": message.cost_priced,
        "outcome": message.outcome,
        "error_kind": message.error_kind,
        "metadata": Jsonb(message.metadata),
        "measured": message.measured,
    }
