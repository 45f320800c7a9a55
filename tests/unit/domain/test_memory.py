"""What a memory store is told of a vote, and what it is never told."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from imrs_client.ids import new_id
from imrs_server.domain import memory
from imrs_server.domain.feedback import TYPES, Feedback, FeedbackType, Signal

TENANT = new_id()
TIME = datetime(2026, 11, 21, 12, tzinfo=UTC)
VOTE = Feedback(
    feedback_id=new_id(),
    message_id=new_id(),
    agent_id="coder",
    model_id="openai/gpt-4o",
    task_type="code",
    rating=0.75,
    feedback_type=FeedbackType.EXPLICIT,
    signal=Signal.SCORE,
    user_id="ann@example.com",
    comment="my number is 555-0199",
    create_time=TIME,
)


def test_a_memory_says_who_was_rated_for_what_and_how() -> None:
    item = memory.item(TENANT, VOTE)
    assert (item.tenant_id, item.key) == (TENANT, str(VOTE.feedback_id))
    assert item.payload == {
        "value": {
            "text": "Rated 0.75 of 1: model openai/gpt-4o for agent coder on task code (explicit, score).",
            "agent_id": "coder",
            "task_type": "code",
            "model_id": "openai/gpt-4o",
            "rating": 0.75,
            "feedback_type": "EXPLICIT",
            "signal": "SCORE",
            "message_id": str(VOTE.message_id),
            "event_time": "2026-11-21T12:00:00+00:00",
            "revoke_time": None,
        },
        "tags": ["rating", "agent:coder", "task:code", "model:openai/gpt-4o"],
        "importance": 1.0,
    }


def test_who_voted_and_the_comment_stay_here() -> None:
    told = json.dumps(memory.item(TENANT, VOTE).payload)
    assert "ann" not in told
    assert "555" not in told


def test_what_was_revoked_keeps_its_key_and_has_no_rating() -> None:
    item = memory.item(TENANT, replace(VOTE, revoke_time=TIME))
    assert item.key == memory.item(TENANT, VOTE).key
    assert item.payload["value"]["rating"] is None
    assert item.payload["value"]["revoke_time"] == "2026-11-21T12:00:00+00:00"
    assert "0.75" not in item.payload["value"]["text"]


@pytest.mark.parametrize("signal", Signal)
def test_importance_is_a_share_and_grows_with_what_a_vote_weighs(signal: Signal) -> None:
    importance = memory.item(TENANT, replace(VOTE, signal=signal, feedback_type=TYPES[signal])).payload[
        "importance"
    ]
    wanted = {FeedbackType.EXPLICIT: 1.0, FeedbackType.SELF_EVAL: 0.3, FeedbackType.IMPLICIT: 0.3}
    assert importance == (0.1 if signal is Signal.CONTINUE else wanted[TYPES[signal]])


def test_votes_that_wait_for_their_message_are_not_told() -> None:
    waiting = Feedback(
        feedback_id=new_id(),
        message_id=new_id(),
        rating=1.0,
        feedback_type=FeedbackType.EXPLICIT,
        pending=True,
        create_time=TIME,
    )
    assert memory.items(TENANT, [waiting, VOTE]) == [memory.item(TENANT, VOTE)]
