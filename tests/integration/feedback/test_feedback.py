"""SubmitFeedback, RevokeFeedback and ListFeedback, from the use case down."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING
from uuid import UUID

import pytest
from psycopg.types.json import Jsonb

from imrs_client.ids import new_id
from imrs_server.domain.errors import (
    AgentMismatch,
    FeedbackNotFound,
    IdempotencyMismatch,
    InvalidRequest,
    MessageNotFound,
)
from imrs_server.domain.feedback import FeedbackFilter, FeedbackType, Signal, Submission, judge
from imrs_server.domain.listing import PageRequest
from imrs_server.storage.idempotency import Key
from tests.support.principals import ADMIN, PLATFORM, STRANGER, USER, agent

if TYPE_CHECKING:
    from imrs_server.domain.principal import Principal
    from tests.integration.feedback.conftest import World


def shown(world: World, message_id: UUID) -> tuple[float | None, str | None]:
    row = world.message(message_id)
    return row["rating"], row["feedback_type"]


def listed(world: World, who: Principal, **fields: object) -> list[UUID]:
    page = world.feedback.list(who, None, PageRequest(), FeedbackFilter(**fields))  # type: ignore[arg-type]
    assert page.total_size == len(page.items)
    return [each.feedback_id for each in page.items]


def test_a_vote_says_what_it_was_cast_on_and_shows_on_the_message(world: World) -> None:
    message = world.called()

    vote = world.vote(message.message_id, Signal.THUMBS_UP, who=USER, comment="good")

    assert (vote.agent_id, vote.model_id, vote.task_type) == ("a", "p/m", "code")
    assert (vote.rating, vote.feedback_type, vote.signal) == (1.0, FeedbackType.EXPLICIT, Signal.THUMBS_UP)
    assert (vote.user_id, vote.comment, vote.pending, vote.revoke_time) == ("uma", "good", False, None)
    assert shown(world, message.message_id) == (1.0, "EXPLICIT")
    assert world.message(message.message_id)["feedback_time"] == vote.create_time
    assert world.wakes == 1


def test_a_user_votes_once_and_the_last_vote_counts(world: World) -> None:
    message_id = world.called().message_id
    first = world.vote(message_id, Signal.THUMBS_UP, user_id="u")

    again = world.vote(message_id, rating=0.25, user_id="u")

    assert (again.feedback_id, again.rating, again.signal) == (first.feedback_id, 0.25, Signal.SCORE)
    assert shown(world, message_id) == (0.25, "EXPLICIT")
    assert len(world.query("select from feedback")) == 1


def test_a_vote_that_was_given_earlier_and_comes_later_changes_nothing(world: World) -> None:
    message_id = world.called().message_id
    newest = world.vote(message_id, Signal.THUMBS_UP, user_id="u")
    an_hour_ago = datetime.now(UTC) - timedelta(hours=1)

    assert world.vote(message_id, Signal.THUMBS_DOWN, user_id="u", event_time=an_hour_ago) == newest
    older = world.vote(message_id, Signal.COPY, user_id="u", event_time=an_hour_ago)
    assert older.create_time == an_hour_ago


def test_explicit_votes_win_over_what_was_only_inferred(world: World) -> None:
    message_id = world.called().message_id
    world.vote(message_id, Signal.REGENERATE, user_id="u")
    assert shown(world, message_id) == (0.0, "IMPLICIT")
    world.vote(message_id, rating=0.75, user_id="u")
    world.vote(message_id, Signal.EVALUATION, 0.5)
    world.vote(message_id, Signal.COPY, user_id="u")
    assert shown(world, message_id) == (0.75, "EXPLICIT")
    assert len(world.query("select from feedback")) == 3


def test_a_user_is_who_the_token_says_and_others_speak_for_somebody(world: World) -> None:
    message_id = world.called().message_id
    assert world.vote(message_id, Signal.COPY, who=USER, user_id="somebody").user_id == "uma"
    assert world.vote(message_id, Signal.COPY, who=agent("a"), user_id="somebody").user_id == "somebody"
    assert world.vote(message_id, Signal.COPY).user_id == ""


def test_an_agent_votes_on_its_own_messages_only(world: World) -> None:
    with pytest.raises(AgentMismatch):
        world.vote(world.called().message_id, Signal.EVALUATION, 0.5, who=agent("b"))


def test_ratings_of_signals_can_be_configured(world: World) -> None:
    message_id = world.called().message_id
    world.insert("defaults", routing=Jsonb({"signal_ratings": {"COPY": 0.9, "ABANDON": 0.1}}))
    world.query(
        """update agents set routing = '{"signal_ratings": {"COPY": 0.8}}' where agent_id = 'a' returning 1"""
    )
    assert world.vote(message_id, Signal.COPY, user_id="u").rating == 0.8
    assert world.vote(message_id, Signal.ABANDON, user_id="v").rating == 0.1
    assert world.vote(message_id, Signal.THUMBS_UP, user_id="w").rating == 1.0


def test_a_vote_on_a_decision_counts_for_what_was_decided(world: World) -> None:
    decision_id = world.decide(landed=False, model_id="p/n")

    vote = world.vote(decision_id, Signal.THUMBS_UP)

    assert (vote.agent_id, vote.model_id, vote.task_type, vote.pending) == ("a", "p/n", "code", False)
    assert world.flushes == 1


def test_a_vote_on_a_fresh_unknown_id_waits_for_its_message(world: World) -> None:
    message_id = new_id()

    vote = world.vote(message_id, Signal.THUMBS_UP, who=USER)
    assert (vote.pending, vote.agent_id, vote.model_id, world.wakes) == (True, "", "", 0)
    message = world.called(message_id=message_id)

    assert (message.rating, message.feedback_type) == (1.0, FeedbackType.EXPLICIT)
    assert world.wakes == 1
    [stored] = world.query("select * from feedback")
    assert (stored["pending"], stored["agent_id"], stored["model_id"]) == (False, "a", "p/m")


def test_an_agent_cannot_vote_ahead_on_what_becomes_anothers_message(world: World) -> None:
    message_id = new_id()
    world.vote(message_id, Signal.EVALUATION, 1.0, who=agent("b"))

    assert world.called(message_id=message_id).rating is None
    [stored] = world.query("select * from feedback")
    assert stored["pending"]


@pytest.mark.parametrize(
    "made",
    [
        UUID(int=5),
        UUID("9f1c6a52-7a51-4c4e-8a2e-1d1f3a0b4c5d"),
        -timedelta(minutes=16),
        timedelta(hours=1),
    ],
    ids=str,
)
def test_unknown_ids_that_are_not_fresh_are_not_found(world: World, made: UUID | timedelta) -> None:
    """Those without a time, and those of another time than now."""
    message_id = made if isinstance(made, UUID) else new_id(datetime.now(UTC) + made)
    with pytest.raises(MessageNotFound):
        world.vote(message_id, Signal.THUMBS_UP)
    assert world.query("select from feedback") == []


def test_anothers_message_is_like_an_unknown_one(world: World) -> None:
    fresh, old = world.called().message_id, world.called(message_id=UUID(int=9)).message_id

    assert world.vote(fresh, Signal.THUMBS_DOWN, who=STRANGER).pending
    with pytest.raises(MessageNotFound):
        world.vote(old, Signal.THUMBS_DOWN, who=STRANGER)
    with pytest.raises(InvalidRequest):
        world.vote(fresh, Signal.THUMBS_DOWN, who=PLATFORM)
    assert shown(world, fresh) == shown(world, old) == (None, None)


def test_a_vote_of_the_future_is_refused(world: World) -> None:
    with pytest.raises(InvalidRequest):
        world.vote(
            world.called().message_id, Signal.COPY, event_time=datetime.now(UTC) + timedelta(minutes=6)
        )


def test_a_request_id_gets_the_first_answer_again(world: World) -> None:
    message_id = world.called().message_id
    key = Key(method="SubmitFeedback", caller="ann", request_id="k", request_hash=bytes(32))
    up = Submission(message_id=message_id, judgement=judge(Signal.THUMBS_UP, None, None))
    first = world.feedback.submit(ADMIN, None, up, key=key)
    world.vote(message_id, Signal.THUMBS_DOWN)

    assert world.feedback.submit(ADMIN, None, up, key=key) == first
    assert shown(world, message_id) == (0.0, "EXPLICIT")
    with pytest.raises(IdempotencyMismatch):
        world.feedback.submit(
            ADMIN,
            None,
            up,
            key=replace(key, request_hash=bytes([1] * 32)),
        )


def test_a_revoked_vote_counts_no_longer_and_may_be_cast_again(world: World) -> None:
    message_id = world.called().message_id
    world.vote(message_id, Signal.COPY, user_id="u")
    vote = world.vote(message_id, Signal.THUMBS_DOWN, user_id="u")

    revoked = world.feedback.revoke(ADMIN, None, vote.feedback_id).value

    assert revoked.revoke_time is not None
    assert shown(world, message_id) == (1.0, "IMPLICIT")
    assert world.feedback.revoke(ADMIN, None, vote.feedback_id).value == revoked
    audited = world.query("select actor, method, target_id, before, after from audit_events")
    assert [(row["actor"], row["method"], row["target_id"]) for row in audited] == [
        ("ann", "RevokeFeedback", str(vote.feedback_id))
    ]
    assert "revoke_time" not in audited[0]["before"]
    assert "revoke_time" in audited[0]["after"]
    assert world.vote(message_id, Signal.THUMBS_UP, user_id="u").revoke_time is None
    assert shown(world, message_id) == (1.0, "EXPLICIT")


def test_votes_of_others_are_not_found(world: World) -> None:
    vote = world.vote(world.called().message_id, Signal.THUMBS_UP, user_id="somebody")
    for who in (USER, STRANGER, agent("b")):
        with pytest.raises(FeedbackNotFound):
            world.feedback.revoke(who, None, vote.feedback_id)
    with pytest.raises(FeedbackNotFound):
        world.feedback.revoke(ADMIN, None, new_id())
    world.feedback.revoke(agent("a"), None, vote.feedback_id)


def test_everybody_sees_the_own_part_of_the_votes(world: World) -> None:
    of_a, of_b = world.called().message_id, world.called(agent_id="b").message_id
    uma = world.vote(of_a, Signal.THUMBS_UP, who=USER).feedback_id
    bob = world.vote(of_b, Signal.COPY, user_id="bob").feedback_id

    assert listed(world, ADMIN) == listed(world, PLATFORM) == [bob, uma]
    assert listed(world, USER) == listed(world, agent("a")) == [uma]
    assert listed(world, agent("b")) == listed(world, ADMIN, user_id="bob") == [bob]
    assert listed(world, STRANGER) == listed(world, USER, user_id="bob") == []
    assert listed(world, ADMIN, feedback_type=FeedbackType.IMPLICIT, model_id="p/m", message_id=of_b) == [bob]
    assert listed(world, ADMIN, agent_id="a", task_type="code", end_time=datetime.now(UTC)) == [uma]
    assert listed(world, ADMIN, start_time=datetime.now(UTC)) == []


def test_pages_of_votes_follow_each_other(world: World) -> None:
    message_id = world.called().message_id
    votes = [world.vote(message_id, Signal.COPY, user_id=str(i)).feedback_id for i in range(5)]
    seen: list[UUID] = []
    page = world.feedback.list(ADMIN, None, PageRequest(size=2), FeedbackFilter())
    while True:
        seen += [each.feedback_id for each in page.items]
        if page.after is None:
            break
        page = world.feedback.list(ADMIN, None, PageRequest(size=2, after=page.after), FeedbackFilter())
    assert seen == votes[::-1]


def test_a_vote_and_its_message_may_come_at_once(world: World) -> None:
    """Whoever is first, the vote is never left waiting for a message that is there."""
    for _ in range(20):
        message_id = new_id()
        with ThreadPoolExecutor(2) as pool:
            vote = pool.submit(world.vote, message_id, Signal.THUMBS_UP)
            pool.submit(world.called, message_id=message_id).result()
            vote.result()
        assert shown(world, message_id) == (1.0, "EXPLICIT")
    assert world.query("select from feedback where pending") == []
