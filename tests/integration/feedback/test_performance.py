"""ListPerformance, from the use case down."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from psycopg.types.json import Jsonb

from imrs_client.ids import new_id
from imrs_server.domain.errors import InvalidRequest, RoleRequired, TenantMismatch
from imrs_server.domain.feedback import FeedbackType
from imrs_server.domain.listing import PageRequest
from imrs_server.domain.performance import Performance, PerformanceFilter
from tests.support.principals import ADMIN, PLATFORM, STRANGER, agent
from tests.support.schema import HERE

if TYPE_CHECKING:
    from uuid import UUID

    from imrs_server.domain.principal import Principal
    from tests.integration.feedback.conftest import World

NOON = datetime(2026, 3, 10, 12, tzinfo=UTC)


def rows(
    world: World, who: Principal = ADMIN, tenant_id: UUID | None = None, order_by: str = "", **fields: object
) -> list[Performance]:
    wanted = PerformanceFilter(**fields)  # type: ignore[arg-type]
    return world.performance.list(who, tenant_id, PageRequest(order_by=order_by), wanted).items


def test_a_row_adds_up_the_messages_of_a_model(world: World) -> None:
    for latency_ms, rating in ((100, 1.0), (200, 0.5), (0, None), (600, None)):
        message_id = world.called(latency_ms=latency_ms).message_id
        if rating is not None:
            world.vote(message_id, rating=rating)

    [row] = rows(world)

    assert (row.model_id, row.agent_id, row.task_type) == ("p/m", "", "")
    assert (row.avg_rating, row.rating_count, row.usage_count) == (0.75, 2, 4)
    assert (row.avg_latency_ms, row.p95_latency_ms) == (300, 560)
    # Wilson's interval of 0.75 over 2, by hand.
    assert row.score == pytest.approx(0.5856, abs=1e-4)
    assert row.lower == pytest.approx(0.1978, abs=1e-4)
    assert row.upper == pytest.approx(0.9733, abs=1e-4)


def test_without_ratings_nothing_is_known(world: World) -> None:
    world.called()
    [row] = rows(world)
    assert (row.avg_rating, row.rating_count, row.score) == (0, 0, 0.5)
    assert row.lower == pytest.approx(0)
    assert row.upper == pytest.approx(1)
    assert row.avg_latency_ms == row.p95_latency_ms == 0


def test_a_filter_picks_messages_and_names_what_it_picked(world: World) -> None:
    world.called(agent_id="a", task_type="code")
    world.called(agent_id="b", task_type="code")
    world.called(agent_id="b", task_type="math", model_id="p/n")

    def counts(**fields: object) -> list[tuple[str, str, str, int]]:
        found = rows(world, order_by="usage_count desc", **fields)  # type: ignore[arg-type]
        return [(each.model_id, each.agent_id, each.task_type, each.usage_count) for each in found]

    assert counts() == [("p/m", "", "", 2), ("p/n", "", "", 1)]
    assert counts(agent_id="a") == [("p/m", "a", "", 1)]
    assert counts(task_type="code") == [("p/m", "", "code", 2)]
    assert counts(agent_id="b", task_type="math") == [("p/n", "b", "math", 1)]
    assert counts(model_id="p/n") == [("p/n", "", "", 1)]
    assert counts(agent_id="nobody") == []


def test_trends_go_day_by_day_within_the_range(world: World) -> None:
    for hours, rating in ((0, 1.0), (1, 0.5), (25, 0.0), (100, 1.0)):
        message_id = world.called(create_time=NOON + timedelta(hours=hours), latency_ms=100).message_id
        world.vote(message_id, rating=rating)

    [row] = rows(world, start_time=NOON, end_time=NOON + timedelta(hours=100))

    assert (row.usage_count, row.avg_rating) == (3, 0.5)
    midnight = datetime(2026, 3, 10, tzinfo=UTC)
    assert [(p.start_time, p.avg_rating, p.rating_count, p.usage_count) for p in row.trend] == [
        (midnight, 0.75, 2, 2),
        (midnight + timedelta(days=1), 0.0, 1, 1),
    ]
    assert row.trend[0].avg_latency_ms == 100


def test_the_best_score_comes_first_and_pages_follow(world: World) -> None:
    for model_id, rating in (("p/m", 0.2), ("p/n", 0.9)):
        world.vote(world.called(model_id=model_id).message_id, rating=rating)
    first = world.performance.list(ADMIN, None, PageRequest(size=1), PerformanceFilter())
    second = world.performance.list(ADMIN, None, PageRequest(size=1, after=first.after), PerformanceFilter())
    assert [each.model_id for each in (*first.items, *second.items)] == ["p/n", "p/m"]
    assert (first.total_size, second.after) == (2, None)
    for order in ("avg_rating", "rating_count", "usage_count", "avg_latency_ms desc"):
        assert len(rows(world, order_by=order)) == 2
    with pytest.raises(InvalidRequest):
        rows(world, order_by="p95_latency_ms")


def test_a_tenant_sees_its_own_and_a_platform_admin_all(world: World) -> None:
    world.called()
    world.record(STRANGER, agent_id="a", model_id="p/m")
    assert [each.usage_count for each in rows(world)] == [1]
    assert [each.usage_count for each in rows(world, PLATFORM)] == [2]
    assert [each.usage_count for each in rows(world, PLATFORM, HERE)] == [1]
    with pytest.raises(TenantMismatch):
        rows(world, STRANGER, HERE)
    with pytest.raises(RoleRequired):
        rows(world, agent("a"))


def test_a_vote_on_a_decision_that_nobody_reported_counts_on_its_day(world: World) -> None:
    yesterday = datetime.now(UTC) - timedelta(days=1)
    world.query("select ensure_partition('decisions', %s)", yesterday)
    told, untold = (world.decide(time=yesterday, model_id="p/m", task_type="code") for _ in "ab")
    for decision_id, rating in ((told, 1.0), (untold, 0.0)):
        world.vote(decision_id, rating=rating)
    # What counts is said once for an answer, by the last explicit vote.
    world.vote(untold, rating=0.5, feedback_type=FeedbackType.SELF_EVAL)
    world.record(decision_id=told, create_time=yesterday, latency_ms=100)

    [row] = rows(world)

    assert (row.usage_count, row.rating_count, row.avg_rating, row.avg_latency_ms) == (1, 2, 0.5, 100)
    [point] = row.trend
    assert (point.start_time.date(), point.usage_count, point.rating_count) == (yesterday.date(), 1, 2)
    assert rows(world, task_type="math") == rows(world, start_time=yesterday + timedelta(hours=1)) == []


def test_what_the_shadow_policy_would_have_chosen_is_told_beside_what_was_chosen(world: World) -> None:
    def decided(shadow: str, *, rating: float | None = None, recorded: bool = False, **columns: Any) -> None:
        detail = Jsonb({"shadow": {"model_id": shadow}})
        decision_id = world.decide(model_id="p/m", task_type="code", detail=detail, **columns)
        rated = decision_id
        if recorded:
            rated = world.record(message_id=new_id(), decision_id=decision_id).message_id
        if rating is not None:
            world.vote(rated, rating=rating)

    decided("p/m", rating=1.0)
    decided("p/m", rating=0.5, recorded=True)
    decided("p/m")
    decided("p/n", rating=0.0)
    decided("p/n")
    decided("")
    world.decide(model_id="p/m", task_type="code")
    world.query("select ensure_partition('decisions', %s)", NOON)
    decided("p/n", time=NOON)

    found = {each.model_id: each for each in rows(world, start_time=NOON + timedelta(days=1))}

    same, other = found["p/m"], found["p/n"]
    counts = (same.shadow_count, same.shadow_agreed_count, same.shadow_rating_count, same.shadow_avg_rating)
    assert counts == (3, 3, 2, 0.75)
    assert (same.usage_count, same.rating_count, same.avg_rating) == (1, 3, 0.5)
    counts = (other.shadow_count, other.shadow_agreed_count, other.shadow_rating_count, other.usage_count)
    assert counts == (2, 0, 0, 0)
    assert [each.shadow_count for each in rows(world, model_id="p/n")] == [3]
    assert [each.shadow_count for each in rows(world, task_type="math")] == []
    assert {each.model_id for each in rows(world, PLATFORM)} == {"p/m", "p/n"}
