"""Where messages are kept, and what a second report changes."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from imrs_client.ids import new_id, time_of
from imrs_server.domain.errors import InvalidRequest
from imrs_server.domain.message import Report, check, complete, compose, partition_time, revise
from imrs_server.domain.pricing import UNPRICED

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
TENANT = UUID(int=1)


@pytest.mark.parametrize(
    ("age", "believed"),
    [
        (timedelta(0), True),
        (timedelta(days=31), True),
        (timedelta(days=32), False),
        (-timedelta(minutes=4), True),
        (-timedelta(minutes=6), False),
    ],
)
def test_the_time_inside_an_id_is_believed_near_now(age: timedelta, *, believed: bool) -> None:
    message_id = new_id(NOW - age)
    expected = time_of(message_id) if believed else NOW
    assert partition_time(message_id, NOW, of_decision=False) == expected


def test_the_time_of_a_decision_is_believed_whenever_it_was() -> None:
    message_id = new_id(NOW - timedelta(days=400))
    assert partition_time(message_id, NOW, of_decision=True) == NOW - timedelta(days=400)


def test_an_id_without_a_time_is_kept_by_now() -> None:
    assert partition_time(UUID(int=7), NOW, of_decision=False) == NOW


@pytest.mark.parametrize("message_id", [UUID(int=7), new_id(NOW - timedelta(days=400))])
def test_history_is_kept_by_its_own_time_where_an_admin_tells_it(message_id: UUID) -> None:
    then = NOW - timedelta(days=400, hours=1)
    report = complete(Report(message_id=message_id, agent_id="a", model_id="p/m", create_time=then), None)
    for by_admin, expected in ((True, then), (False, NOW)):
        message = compose(report, UNPRICED, tenant_id=TENANT, of_decision=False, now=NOW, by_admin=by_admin)
        assert (message.partition_time, message.create_time) == (expected, then)


def test_what_is_older_than_all_partitions_is_kept_by_now() -> None:
    then = datetime(2019, 12, 31, tzinfo=UTC)
    assert partition_time(UUID(int=7), NOW, of_decision=False, believed=then) == NOW


def test_a_report_is_checked_for_what_no_single_field_shows() -> None:
    with pytest.raises(InvalidRequest) as caught:
        check(Report(prompt_tokens=1, cached_tokens=2, create_time=NOW + timedelta(hours=1)), NOW)
    assert [each.field for each in caught.value.violations] == [
        "message.cached_tokens",
        "message.create_time",
    ]


def test_a_report_that_says_the_same_changes_nothing() -> None:
    report = complete(Report(message_id=new_id(NOW), agent_id="a", model_id="p/m"), None)
    message = compose(report, UNPRICED, tenant_id=TENANT, of_decision=False, now=NOW)
    assert report.task_type == "general"
    assert revise(message, report, UNPRICED) is message


def test_what_the_call_was_cannot_be_changed() -> None:
    report = complete(Report(message_id=new_id(NOW), agent_id="a", model_id="p/m"), None)
    message = compose(report, UNPRICED, tenant_id=TENANT, of_decision=False, now=NOW)
    with pytest.raises(InvalidRequest) as caught:
        revise(message, Report(agent_id="b", model_id="p/n", task_type="code"), UNPRICED)
    assert [each.field for each in caught.value.violations] == [
        "message.agent_id", "message.model_id", "message.task_type",
    ]  # fmt: skip
