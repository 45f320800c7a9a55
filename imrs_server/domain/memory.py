"""What a memory store is told of a vote: what was rated and how, and no words of people."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from uuid import UUID

from imrs_server.domain.feedback import FeedbackType, Signal

if TYPE_CHECKING:
    from collections.abc import Iterable

    from imrs_server.domain.feedback import Feedback

# As much as ratings of the type weigh where nothing else is configured.
_IMPORTANCE = {FeedbackType.EXPLICIT: 1.0, FeedbackType.SELF_EVAL: 0.3, FeedbackType.IMPLICIT: 0.3}
# To go on says next to nothing; with no importance at all it might not be kept.
_OF_CONTINUE = 0.1


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """What is to be told under a key of a tenant; what is told later under the same key replaces it."""

    tenant_id: UUID
    key: str
    payload: dict[str, Any]


def items(tenant_id: UUID, votes: Iterable[Feedback]) -> list[Item]:
    """The memories of votes of one tenant; those that still wait for their message are passed over."""
    return [item(tenant_id, each) for each in votes if not each.pending]


def item(tenant_id: UUID, vote: Feedback) -> Item:
    """The memory of a stored vote that waits for no message: ``value``, ``tags`` and ``importance`` (0 to 1).

    The key is the feedback_id, so an amended vote replaces what was told of it; one that was revoked has no
    rating. Who voted, and the comment, stay here: they are people's own, and say nothing of a model.
    """
    assert not vote.pending
    assert vote.create_time is not None
    return Item(
        tenant_id=tenant_id,
        key=str(vote.feedback_id),
        payload={
            "value": {
                "text": _sentence(vote),
                "agent_id": vote.agent_id,
                "task_type": vote.task_type,
                "model_id": vote.model_id,
                "rating": None if vote.revoke_time else vote.rating,
                "feedback_type": vote.feedback_type.value,
                "signal": vote.signal.value if vote.signal else None,
                "message_id": str(vote.message_id),
                "event_time": vote.create_time.isoformat(),
                "revoke_time": vote.revoke_time.isoformat() if vote.revoke_time else None,
            },
            "tags": [
                "rating",
                f"agent:{vote.agent_id}",
                f"task:{vote.task_type}",
                f"model:{vote.model_id}",
            ],
            "importance": _importance(vote),
        },
    )


def _importance(vote: Feedback) -> float:
    return _OF_CONTINUE if vote.signal is Signal.CONTINUE else _IMPORTANCE[vote.feedback_type]


def _sentence(vote: Feedback) -> str:
    """For stores that find memories by what they say."""
    about = f"model {vote.model_id} for agent {vote.agent_id} on task {vote.task_type}"
    if vote.revoke_time is not None:
        return f"A rating of {about} was taken back."
    how = vote.feedback_type.value.lower() + (f", {vote.signal.value.lower()}" if vote.signal else "")
    return f"Rated {vote.rating:g} of 1: {about} ({how})."
