"""Messages that wait for the database: each is stored once, or told to be lost."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest
from structlog.testing import capture_logs

from imrs_client.ids import new_id
from imrs_server.domain.errors import DatabaseUnavailable
from imrs_server.domain.message import Report
from imrs_server.storage.database import Database
from imrs_server.use_cases.late_messages import TRIES, Late, LateMessages
from imrs_server.use_cases.messages import Messages
from tests.support.principals import ADMIN
from tests.support.schema import HERE

if TYPE_CHECKING:
    from tests.integration.feedback.conftest import World


def late(**fields: Any) -> Late:
    told: dict[str, Any] = {"agent_id": "a", "model_id": "p/m", "prompt_tokens": 7, **fields}
    report = Report(message_id=new_id(), create_time=datetime.now(UTC), **told)
    return Late(who=ADMIN, tenant_id=HERE, report=report)


def test_each_is_stored_once_with_the_time_of_its_call(world: World) -> None:
    kept = LateMessages(world.messages)
    first = late()
    world.messages.record(ADMIN, HERE, first.report)
    for each in (first, late(), first):
        kept.keep(each)
    assert (kept.waiting, kept.write(), kept.waiting) == (3, 3, 0)
    stored = world.query("select message_id, create_time from messages order by create_time")
    assert len(stored) == 2
    assert stored[0]["create_time"] == first.report.create_time


def test_one_that_can_never_be_stored_does_not_hold_up_the_others(world: World) -> None:
    kept = LateMessages(world.messages)
    kept.keep(late(model_id="p/unknown"))
    kept.keep(late())
    with capture_logs() as lines:
        assert kept.write() == 1
    [lost] = [line for line in lines if line["event"] == "message.lost"]
    assert (lost["reason"], lost["prompt_tokens"]) == ("MODEL_NOT_FOUND", 7)
    assert kept.lost == 1


def test_where_somebody_told_of_another_call_under_its_id_it_has_another(world: World) -> None:
    """It is paid for all the same, and once."""
    kept = LateMessages(world.messages)
    mine = late()
    other = replace(mine.report, task_type="other")
    world.messages.record(ADMIN, HERE, replace(other, prompt_tokens=1))
    for _ in range(2):
        kept.keep(replace(mine, report=replace(mine.report, task_type="mine")))
        assert kept.write() == 1
    stored = world.query("select task_type, prompt_tokens from messages order by task_type")
    assert stored == [{"task_type": "mine", "prompt_tokens": 7}, {"task_type": "other", "prompt_tokens": 1}]
    assert kept.lost == 0


def test_what_fails_for_no_known_reason_is_tried_behind_the_others_and_not_for_ever(world: World) -> None:
    kept = LateMessages(world.messages)
    kept.keep(late(error_kind="No kind"))
    kept.keep(late())
    with capture_logs() as lines:
        assert [kept.write() for _ in range(TRIES)] == [1] + [0] * (TRIES - 1)
    assert [line["event"] for line in lines] == ["message.failed", "message.lost"]
    assert (kept.waiting, kept.lost) == (0, 1)


def test_they_wait_as_long_as_the_database_is_away_and_not_without_end(world: World) -> None:
    away = Database("postgresql://nobody@127.0.0.1:9/none")
    nobody: Any = {"flush_decisions": lambda: None, "wake_rollup": lambda: None}
    kept = LateMessages(Messages(away, **nobody), capacity=2)
    away.open()
    try:
        for _ in range(3):
            kept.keep(late())
        assert (kept.waiting, kept.lost) == (2, 1)
        with pytest.raises(DatabaseUnavailable):
            kept.write()
        assert kept.waiting == 2
    finally:
        away.close()
    with capture_logs() as lines:
        kept.give_up()
    assert [line["event"] for line in lines] == ["message.lost"] * 2
    assert (kept.waiting, kept.lost) == (0, 3)


def test_one_that_comes_when_nobody_stores_any_more_is_told_to_be_lost(world: World) -> None:
    kept = LateMessages(world.messages)
    kept.give_up()
    with capture_logs() as lines:
        kept.keep(late())
    assert [line["event"] for line in lines] == ["message.late", "message.lost"]
    assert (kept.waiting, kept.lost) == (0, 1)
