"""The table ``feedback``: votes, in the partition of the message that they rate."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from imrs_client.ids import time_of
from imrs_server.domain.feedback import Feedback, FeedbackFilter
from imrs_server.domain.votes import Vote
from imrs_server.storage import sql
from imrs_server.storage.listing import Listing
from imrs_server.storage.shape import shape

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from uuid import UUID

    from imrs_server.domain.listing import Page, PageRequest
    from imrs_server.domain.message import Message
    from imrs_server.storage.database import Tx

Q = sql.load(__file__)

_LISTING = Listing(
    key="feedback_id",
    orders={
        "create_time": ("event_time", "timestamptz"),
        "feedback_id": ("feedback_id", "uuid"),
    },
    hidden=frozenset({"feedback_id"}),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """What a vote is on: a message, else a decision, else nothing that is known.

    ``agent_id`` is empty for nothing, ``partition_time`` None for what is not a message; ``shown`` is the
    rating, the type and the time that the message shows. ``now`` is the database's clock, ``revision`` the
    newest.
    """

    agent_id: str
    model_id: str
    task_type: str
    partition_time: datetime | None
    shown: tuple[float | None, str | None, datetime | None]
    signal_ratings: dict[str, float]
    now: datetime
    revision: int


def targets(tx: Tx, votes: Sequence[tuple[UUID, UUID]]) -> Callable[[], list[Target]]:
    """What votes are on, in order, each by its tenant and the id of a message or a decision."""
    return Q.targets.ask(tx, _target, **_keys(votes), times=[time_of(message_id) for _, message_id in votes])


def on(tx: Tx, messages: Iterable[tuple[UUID, UUID]]) -> Callable[[], list[Vote]]:
    """Every vote on some messages, each named by its tenant and id."""
    return Q.votes.ask(tx, _vote, **_keys(messages))


def insert(tx: Tx, votes: Sequence[Vote]) -> None:
    """Store votes on locked messages."""
    Q.insert.run(
        tx,
        **_columns(votes),
        message_id=[each.cast.message_id for each in votes],
        feedback_type=[each.cast.feedback_type for each in votes],
        user_id=[each.cast.user_id for each in votes],
    )


def update(tx: Tx, votes: Sequence[Vote]) -> None:
    """Store what became of votes on locked messages; message, user and type stay."""
    Q.update.run(tx, **_columns(votes), revoke_time=[each.cast.revoke_time for each in votes])


def get(tx: Tx, tenant_id: UUID, feedback_id: UUID) -> Feedback | None:
    return Q.get.one(tx, shape(Feedback), tenant_id=tenant_id, feedback_id=feedback_id)


def revoke(tx: Tx, tenant_id: UUID, feedback_id: UUID) -> Feedback | None:
    """Let a vote count no longer; None where it did not."""
    return Q.revoke.one(tx, shape(Feedback), tenant_id=tenant_id, feedback_id=feedback_id)


def settle(tx: Tx, message: Message) -> list[Feedback]:
    """Give the votes on a locked message what it says of itself: those that waited for it, and those that
    counted for its decision until now. Votes of another agent go on waiting. Returns those that changed.
    """
    return Q.settle.all(
        tx,
        shape(Feedback),
        tenant_id=message.tenant_id,
        message_id=message.message_id,
        agent_id=message.agent_id,
        model_id=message.model_id,
        task_type=message.task_type,
    )


def decided(tx: Tx) -> list[tuple[UUID, UUID]]:
    """Tenant and id of the decisions, of all tenants, that have landed since votes on them came."""
    return Q.decided.all(tx, lambda row: (row["tenant_id"], row["message_id"]))


def settle_decided(tx: Tx, decisions: Sequence[tuple[UUID, UUID]]) -> list[Vote]:
    """Let the votes that waited for locked decisions count for what was decided. Returns them."""
    return Q.settle_decided.all(tx, _vote, **_keys(decisions))


def drop_pending(tx: Tx, before: datetime) -> int:
    """Forget votes of all tenants that came before then and still wait. Returns how many."""
    return Q.drop_pending.run(tx, before=before)


def list_page(
    tx: Tx, request: PageRequest, tenant_id: UUID | None, wanted: FeedbackFilter, *, owner: str | None
) -> Page[Feedback]:
    """Votes of one tenant, or of all; of one user where an owner is given."""
    return _LISTING.page(
        tx,
        Q.list,
        shape(Feedback),
        request,
        tenant_id=tenant_id,
        message_id=wanted.message_id,
        agent_id=wanted.agent_id,
        model_id=wanted.model_id,
        task_type=wanted.task_type,
        feedback_type=wanted.feedback_type,
        user_id=wanted.user_id,
        owner=owner,
        start_time=wanted.start_time,
        end_time=wanted.end_time,
    )


def _target(row: sql.Row) -> Target:
    ratings: dict[str, float] = {}
    for level in ("global_ratings", "tenant_ratings", "agent_ratings"):
        ratings |= row[level] or {}
    return Target(
        agent_id=row["agent_id"] or "",
        model_id=row["model_id"] or "",
        task_type=row["task_type"] or "",
        partition_time=row["partition_time"],
        shown=(row["rating"], row["feedback_type"], row["feedback_time"]),
        signal_ratings=ratings,
        now=row["now"],
        revision=row["revision"],
    )


def _vote(row: sql.Row) -> Vote:
    return Vote(
        tenant_id=row["tenant_id"],
        partition_time=row["partition_time"],
        cast=shape(Feedback)(row),
        counts=row["counts"],
        speaks=row["speaks"],
    )


def _keys(messages: Iterable[tuple[UUID, UUID]]) -> dict[str, list[UUID]]:
    pairs = list(messages)
    return {"tenant_ids": [each[0] for each in pairs], "message_ids": [each[1] for each in pairs]}


def _columns(votes: Sequence[Vote]) -> dict[str, list[Any]]:
    return {
        "tenant_id": [each.tenant_id for each in votes],
        "partition_time": [each.partition_time for each in votes],
        "counts": [each.counts for each in votes],
        "speaks": [each.speaks for each in votes],
        "feedback_id": [each.cast.feedback_id for each in votes],
        "agent_id": [each.cast.agent_id for each in votes],
        "model_id": [each.cast.model_id for each in votes],
        "task_type": [each.cast.task_type for each in votes],
        "rating": [each.cast.rating for each in votes],
        "signal": [each.cast.signal for each in votes],
        "comment": [each.cast.comment for each in votes],
        "pending": [each.cast.pending for each in votes],
        "event_time": [each.cast.create_time for each in votes],
    }
