"""The table ``feedback``: votes, in the partition of the message that they rate."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from imrs_server.domain.feedback import Feedback, FeedbackFilter
from imrs_server.storage import sql
from imrs_server.storage.listing import Listing
from imrs_server.storage.partitions import Table, needing
from imrs_server.storage.shape import shape

if TYPE_CHECKING:
    from datetime import datetime
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


def put(tx: Tx, tenant_id: UUID, vote: Feedback, partition_time: datetime) -> Feedback:
    """Store a vote on a locked message, over an earlier one of the same user and kind.

    Returns the vote that counts: one that was given earlier than the stored one changes nothing. A vote
    keeps the feedback_id that it first got. Raises MissingPartition.
    """
    with needing(Table.FEEDBACK, partition_time):
        found = Q.put.one(
            tx,
            shape(Feedback),
            tenant_id=tenant_id,
            partition_time=partition_time,
            feedback_id=vote.feedback_id,
            message_id=vote.message_id,
            agent_id=vote.agent_id,
            model_id=vote.model_id,
            task_type=vote.task_type,
            rating=vote.rating,
            feedback_type=vote.feedback_type,
            signal=vote.signal,
            user_id=vote.user_id,
            comment=vote.comment,
            pending=vote.pending,
            event_time=vote.create_time,
        )
    stored = found or Q.vote.one(
        tx,
        shape(Feedback),
        tenant_id=tenant_id,
        message_id=vote.message_id,
        user_id=vote.user_id,
        feedback_type=vote.feedback_type,
        partition_time=partition_time,
    )
    assert stored is not None
    return stored


def get(tx: Tx, tenant_id: UUID, feedback_id: UUID) -> Feedback | None:
    return Q.get.one(tx, shape(Feedback), tenant_id=tenant_id, feedback_id=feedback_id)


def revoke(tx: Tx, tenant_id: UUID, feedback_id: UUID) -> Feedback | None:
    """Let a vote count no longer; None where it did not."""
    return Q.revoke.one(tx, shape(Feedback), tenant_id=tenant_id, feedback_id=feedback_id)


def settle(tx: Tx, message: Message) -> int:
    """Give the votes on a locked message what it says of itself: those that waited for it, and those that
    counted for its decision until now. Votes of another agent go on waiting. Returns how many changed.
    """
    return Q.settle.run(
        tx,
        tenant_id=message.tenant_id,
        message_id=message.message_id,
        agent_id=message.agent_id,
        model_id=message.model_id,
        task_type=message.task_type,
    )


def settle_decided(tx: Tx) -> int:
    """Let votes of all tenants count whose decision has landed since they came. Returns how many."""
    return Q.settle_decided.run(tx)


def drop_pending(tx: Tx, before: datetime) -> int:
    """Forget votes of all tenants that came before then and still wait. Returns how many."""
    return Q.drop_pending.run(tx, before=before)


def signal_ratings(tx: Tx, tenant_id: UUID, agent_id: str) -> dict[str, float]:
    """Ratings that signals carry where they are configured: for everybody, the tenant, the agent."""
    return cast("dict[str, float]", Q.signal_ratings.value(tx, tenant_id=tenant_id, agent_id=agent_id))


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
