"""What a replay reads of the log: each decision with the rating of its own model's answer, page by page."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

import psycopg
import pytest

from imrs_client.ids import new_id, time_of
from imrs_server.domain.cost_difference import Tokens
from imrs_server.storage import replay
from tests.support.schema import ELSEWHERE, HERE, NOW, insert

if TYPE_CHECKING:
    from collections.abc import Iterator
    from uuid import UUID

    from imrs_server.domain.replay import Logged
    from imrs_server.storage.database import Database

# In the month that has partitions for sure.
START = NOW.replace(microsecond=0)


@pytest.fixture
def connection(db: Database) -> Iterator[psycopg.Connection]:
    with psycopg.connect(db.dsn, autocommit=True) as opened:
        yield opened


class History:
    """Decisions for the model ``p/m``, each a second after the one before, and what followed."""

    def __init__(self, connection: psycopg.Connection) -> None:
        self.connection = connection
        self.made: list[UUID] = []

    def decide(self, **columns: Any) -> UUID:
        decision_id = new_id(START + timedelta(seconds=len(self.made)))
        insert(
            self.connection, "decisions", decision_id=decision_id, create_time=time_of(decision_id), **columns
        )
        self.made.append(decision_id)
        return decision_id

    def call(self, decision_id: UUID, **columns: Any) -> None:
        """A call that was made for a decision, and reported under an id of its own."""
        message_id, time = new_id(), time_of(decision_id)
        row = {"decision_id": decision_id, "message_id": message_id, "create_time": time, **columns}
        if "rating" in row:
            row |= {"feedback_type": "EXPLICIT", "feedback_time": time}
        insert(self.connection, "messages", partition_time=time, **row)

    def vote(self, decision_id: UUID, rating: float, **columns: Any) -> None:
        row = {"feedback_id": new_id(), "message_id": decision_id, "rating": rating, **columns}
        insert(self.connection, "feedback", partition_time=time_of(decision_id), **row)


@pytest.fixture
def history(connection: psycopg.Connection) -> History:
    return History(connection)


def read(db: Database, tenant_id: UUID = HERE, size: int = 100) -> list[list[Logged]]:
    """All pages."""
    pages = []
    before: replay.Place | None = replay.end(START + timedelta(hours=1))
    while before is not None:
        with db.transaction(tenant_id) as tx:
            found, before = replay.page(tx, tenant_id, "a", start_time=START, before=before, size=size)
        pages.append(found)
    return pages


def only(db: Database) -> Logged:
    ((found,),) = read(db)
    return found


def test_pages_go_from_the_newest_to_the_oldest_and_miss_none(db: Database, history: History) -> None:
    for _ in range(7):
        history.decide()
    history.decide(agent_id="b")
    history.decide(tenant_id=ELSEWHERE)
    pages = read(db, size=3)
    assert [len(page) for page in pages] == [3, 3, 1]
    assert [each.decision_id for page in pages for each in page] == history.made[6::-1]
    assert [len(page) for page in read(db, size=7)] == [7, 0]
    assert [len(page) for page in read(db, ELSEWHERE)] == [1]


def test_a_rating_and_tokens_are_those_of_the_call_that_followed(db: Database, history: History) -> None:
    decision_id = history.decide()
    history.call(decision_id, rating=0.75, prompt_tokens=10, completion_tokens=5, cached_tokens=2)
    found = only(db)
    assert (found.rating, found.tokens) == (0.75, Tokens(10, 5, 2))


def test_a_rating_of_another_models_answer_is_none_of_this_one(db: Database, history: History) -> None:
    """A fallback answered: its rating says nothing of the model that was chosen."""
    decision_id = history.decide()
    history.call(decision_id, outcome="ERROR", error_kind="timeout")
    history.call(decision_id, model_id="p/n", rating=1.0, prompt_tokens=10, completion_tokens=5)
    history.vote(decision_id, 1.0, model_id="p/n")
    found = only(db)
    assert (found.rating, found.tokens) == (None, None)


def test_a_vote_counts_where_nobody_reported_the_call(db: Database, history: History) -> None:
    decision_id = history.decide()
    history.vote(decision_id, 0.25)
    history.vote(decision_id, 1.0, user_id="early", speaks=False)
    found = only(db)
    assert (found.rating, found.tokens) == (0.25, None)


@pytest.mark.parametrize("columns", [{"revoke_time": START}, {"pending": True}, {"speaks": False}])
def test_a_vote_that_does_not_speak_is_no_rating(
    db: Database, history: History, columns: dict[str, Any]
) -> None:
    history.vote(history.decide(), 1.0, **columns)
    assert only(db).rating is None
