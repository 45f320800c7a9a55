"""GetUsage, from the use case down: sums of what was recorded, whatever was added up beforehand."""

from __future__ import annotations

from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from random import Random
from statistics import fmean
from typing import TYPE_CHECKING, Any, LiteralString

import psycopg
import pytest

from imrs_client.ids import new_id
from imrs_server.domain.errors import InvalidRequest, RoleRequired, TenantMismatch
from imrs_server.domain.message import Outcome
from imrs_server.domain.usage import USUAL_RANGE, Key, Usage
from imrs_server.jobs.usage import UsageRollup
from tests.support import schema
from tests.support.principals import ADMIN, PLATFORM, STRANGER, USER, agent
from tests.support.schema import ELSEWHERE, HERE
from tests.support.transactions import await_earlier

if TYPE_CHECKING:
    from collections.abc import Sequence
    from uuid import UUID

    from imrs_server.domain.principal import Principal
    from imrs_server.domain.usage import UsageReport
    from tests.integration.feedback.conftest import World

NOW = datetime.now(UTC)
TODAY = NOW.replace(hour=0, minute=0, second=0, microsecond=0)
DAY = timedelta(days=1)
HOUR = timedelta(hours=1)

_SUMS = ("prompt_tokens", "completion_tokens", "cached_tokens")


def report(
    world: World,
    *group_by: Key,
    who: Principal = ADMIN,
    tenant_id: UUID | None = None,
    start_time: datetime | None = None,
    end_time: datetime | None = None,
) -> UsageReport:
    return world.usage.report(who, tenant_id, group_by, start_time=start_time, end_time=end_time)


def store(world: World, number: int, random: Random, *, tenant_id: UUID = HERE) -> list[dict[str, Any]]:
    """Random calls of 40 days, some of them exactly at midnight; the rows as they were written."""
    world.query("select ensure_partition('messages', %s)", NOW - 31 * DAY)
    rows = []
    for _ in range(number):
        time = NOW - timedelta(seconds=random.randrange(40 * 86_400))
        if random.random() < 0.1:
            time = TODAY - random.randrange(40) * DAY
        if abs(NOW - time - USUAL_RANGE) < 6 * HOUR:
            # Where no range is asked for it ends now, which goes on while the tests run.
            time -= 12 * HOUR
        prompt = random.randrange(5000)
        cost = random.choice([None, Decimal(random.randrange(10**9)) / 10**9])
        rows.append(
            {
                "tenant_id": tenant_id,
                "message_id": new_id(),
                "partition_time": NOW,
                "agent_id": random.choice("abc"),
                "model_id": random.choice(["p/m", "p/n", "q/a/b"]),
                "task_type": random.choice(["code", "math"]),
                "outcome": random.choice(["OK", "OK", "ERROR", "TIMEOUT", "CANCELLED"]),
                "latency_ms": random.choice([0, int(random.lognormvariate(6, 1)) + 1]),
                "prompt_tokens": prompt,
                "completion_tokens": random.randrange(900),
                "cached_tokens": random.randrange(prompt + 1),
                "cost_usd": cost,
                "cost_priced": cost is not None,
                "tokens_estimated": random.random() < 0.2,
                "create_time": time,
            }
        )
    with psycopg.connect(world.dsn) as connection:
        for row in rows:
            schema.insert(connection, "messages", **row)
    return rows


def change(world: World, statement: LiteralString, *parameters: Any) -> None:
    with psycopg.connect(world.dsn) as connection:
        connection.execute(statement, parameters)


def key_of(row: dict[str, Any], key: Key) -> str:
    columns = {
        Key.AGENT: row["agent_id"],
        Key.MODEL: row["model_id"],
        Key.PROVIDER: row["model_id"].split("/")[0],
        Key.TASK_TYPE: row["task_type"],
        Key.DAY: row["create_time"].astimezone(UTC).date().isoformat(),
    }
    return str(columns[key])


def summed(rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """What a report says of rows, in plain Python; the percentile is asked for apart."""
    times = [row["latency_ms"] for row in rows if row["latency_ms"]]
    return {
        "calls": len(rows),
        "errors": sum(row["outcome"] in {"ERROR", "TIMEOUT"} for row in rows),
        **{name: sum(row[name] for row in rows) for name in _SUMS},
        "cost_usd": sum((row["cost_usd"] for row in rows if row["cost_usd"] is not None), Decimal(0)),
        "unpriced_calls": sum(row["cost_usd"] is None for row in rows),
        "estimated_calls": sum(row["tokens_estimated"] for row in rows),
        "avg_latency_ms": pytest.approx(fmean(times) if times else 0.0),
    }


def told(usage: Usage) -> dict[str, Any]:
    names = ("calls", "errors", *_SUMS, "cost_usd", "unpriced_calls", "estimated_calls", "avg_latency_ms")
    return {name: getattr(usage, name) for name in names}


def agrees(
    found: UsageReport, rows: Sequence[dict[str, Any]], group_by: Sequence[Key], **times: datetime | None
) -> None:
    """The report tells of exactly these rows, of those that lie in its range."""
    start = times.get("start_time") or (times.get("end_time") or NOW) - USUAL_RANGE
    end = times.get("end_time") or NOW + DAY
    rows = [row for row in rows if start <= row["create_time"] < end]
    groups = defaultdict(list)
    for row in rows:
        groups[tuple(key_of(row, key) for key in group_by)].append(row)
    assert told(found.totals) == summed(rows)
    if not group_by:
        assert found.usages == ()
        return
    answered = {tuple(each.group[key] for key in group_by): told(each) for each in found.usages}
    assert answered == {key: summed(group) for key, group in groups.items()}
    assert len(found.usages) == len(answered)


RANGES: list[dict[str, Any]] = [
    {},
    {"start_time": TODAY - 45 * DAY},
    {"start_time": TODAY - 20 * DAY, "end_time": TODAY - 10 * DAY},
    {"start_time": TODAY - 20 * DAY + timedelta(hours=7), "end_time": TODAY - 3 * DAY + timedelta(hours=5)},
    {"start_time": TODAY - 9 * DAY + timedelta(hours=1), "end_time": TODAY - 9 * DAY + timedelta(hours=20)},
    {"start_time": TODAY - 9 * DAY + timedelta(hours=20), "end_time": TODAY - 8 * DAY + timedelta(hours=4)},
    {"end_time": TODAY - 5 * DAY},
]
GROUPINGS: list[tuple[Key, ...]] = [(), *((key,) for key in Key), (Key.DAY, Key.AGENT, Key.MODEL), tuple(Key)]


@pytest.mark.parametrize("counted", ["nothing", "half", "everything"])
def test_sums_are_those_of_an_independent_count_however_much_was_added_up_before(
    world: World, counted: str
) -> None:
    random = Random(7)
    rows = store(world, 150, random)
    store(world, 20, random, tenant_id=ELSEWHERE)
    if counted != "nothing":
        world.usage_rollup.turn()
    rows += store(world, 50, random)
    if counted == "everything":
        world.usage_rollup.turn()
    for times in RANGES:
        agrees(report(world, Key.MODEL, Key.DAY, **times), rows, (Key.MODEL, Key.DAY), **times)
    for group_by in GROUPINGS:
        agrees(report(world, *group_by), rows, group_by)


def test_what_is_told_anew_or_deleted_is_counted_as_it_is_now(world: World) -> None:
    random = Random(8)
    rows = store(world, 60, random)
    for turn in (False, True):
        for step in range(3):
            if turn:
                world.usage_rollup.turn()
            gone, changed = rows.pop(), rows[step]
            changed |= {"prompt_tokens": 7, "cost_usd": None, "cost_priced": False, "latency_ms": 5 + step}
            change(world, "delete from messages where message_id = %s", gone["message_id"])
            change(
                world,
                "update messages set prompt_tokens = 7, cost_usd = null, cost_priced = false, latency_ms = %s"
                " where message_id = %s",
                changed["latency_ms"], changed["message_id"],
            )  # fmt: skip
            agrees(report(world, *Key), rows, tuple(Key))
    await_earlier(world.dsn)
    world.usage_rollup.turn()
    agrees(report(world, *Key), rows, tuple(Key))
    assert world.query("select * from past_usage") == []
    # Nobody reads the rows any more for what was added up.
    change(world, "alter table messages disable trigger account_delete")
    change(world, "delete from messages")
    agrees(report(world, start_time=TODAY - 45 * DAY), rows, (), start_time=TODAY - 45 * DAY)


def test_a_call_that_is_reported_again_is_counted_once_as_it_was_told_last(world: World) -> None:
    message = world.called(prompt_tokens=1000, latency_ms=10)
    world.usage_rollup.turn()
    world.record(
        message_id=message.message_id, prompt_tokens=2000, latency_ms=20, outcome=Outcome.ERROR,
        tokens_estimated=True,
    )  # fmt: skip
    for _ in range(2):
        totals = report(world).totals
        assert (totals.calls, totals.errors, totals.prompt_tokens, totals.cost_usd) == (
            1,
            1,
            2000,
            Decimal("0.004"),
        )
        assert (totals.avg_latency_ms, totals.p95_latency_ms, totals.estimated_calls) == (20, 20, 1)
        world.usage_rollup.turn()
    # The evidence saw the same call change.
    [cell] = [each for key, each in world.rolled_up().items() if key[0] == "a"]
    assert (cell["calls"], cell["errors"]) == (pytest.approx(1), pytest.approx(1))


def test_evidence_counts_a_call_once_whose_tokens_alone_were_mended(world: World) -> None:
    message = world.called()
    world.rolled_up()
    change(world, "update messages set prompt_tokens = 5 where message_id = %s", message.message_id)
    assert [each["calls"] for key, each in world.rolled_up().items() if key[0]] == [pytest.approx(1)]


def test_days_are_utcs_and_their_borders_belong_to_the_later_one(world: World) -> None:
    midnight = TODAY - 2 * DAY
    for time in (midnight - timedelta(microseconds=1), midnight, midnight + DAY - timedelta(microseconds=1)):
        world.called(create_time=time)
    for _ in range(2):
        found = report(world, Key.DAY)
        assert [(each.group[Key.DAY], each.calls) for each in found.usages] == [
            ((midnight - DAY).date().isoformat(), 1),
            (midnight.date().isoformat(), 2),
        ]
        assert report(world, start_time=midnight, end_time=midnight + DAY).totals.calls == 2
        assert report(world, start_time=midnight - timedelta(hours=1), end_time=midnight).totals.calls == 1
        world.usage_rollup.turn()


def test_an_unknown_price_is_unpriced_and_never_nothing(world: World) -> None:
    world.called(model_id="p/n", prompt_tokens=100)
    world.called(model_id="p/m", prompt_tokens=100)
    found = report(world, Key.MODEL)
    priced, unpriced = found.usages
    assert (unpriced.group[Key.MODEL], unpriced.known_cost_usd, unpriced.unpriced_calls) == ("p/n", None, 1)
    assert (priced.group[Key.MODEL], priced.known_cost_usd, priced.unpriced_calls) == (
        "p/m",
        Decimal("0.0002"),
        0,
    )
    assert (found.totals.known_cost_usd, found.totals.unpriced_calls) == (Decimal("0.0002"), 1)


def test_the_dearest_group_comes_first_and_days_come_in_order(world: World) -> None:
    for day, model_id, tokens in ((1, "p/n", 900), (1, "p/m", 10), (0, "p/n", 1), (0, "p/m", 20)):
        world.called(model_id=model_id, prompt_tokens=tokens, create_time=NOW - day * DAY)
    assert [each.group[Key.MODEL] for each in report(world, Key.MODEL).usages] == ["p/m", "p/n"]
    by_day = report(world, Key.MODEL, Key.DAY).usages
    assert [each.group[Key.MODEL] for each in by_day] == ["p/m", "p/n", "p/m", "p/n"]
    assert [each.group[Key.DAY] for each in by_day] == sorted(each.group[Key.DAY] for each in by_day)


@pytest.mark.parametrize("counted", [False, True])
def test_the_percentile_is_within_a_step_of_the_true_one(world: World, counted: bool) -> None:
    random = Random(9)
    times = sorted(int(random.lognormvariate(7, 1)) + 1 for _ in range(300))
    with psycopg.connect(world.dsn) as connection:
        for time in times:
            schema.insert(connection, "messages", message_id=new_id(), latency_ms=time, create_time=NOW)
    if counted:
        world.usage_rollup.turn()
    assert report(world).totals.p95_latency_ms == pytest.approx(times[int(0.95 * len(times))], rel=0.09)


def test_a_tenant_sees_its_own_and_a_platform_admin_all(world: World) -> None:
    world.called(prompt_tokens=1)
    world.record(STRANGER, agent_id="a", model_id="p/m", prompt_tokens=10)
    for _ in range(2):
        assert report(world).totals.prompt_tokens == 1
        assert report(world, who=STRANGER).totals.prompt_tokens == 10
        assert report(world, who=PLATFORM).totals.prompt_tokens == 11
        assert report(world, who=PLATFORM, tenant_id=ELSEWHERE).totals.prompt_tokens == 10
        world.usage_rollup.turn()
    with pytest.raises(TenantMismatch):
        report(world, who=STRANGER, tenant_id=HERE)
    for who in (agent("a"), USER):
        with pytest.raises(RoleRequired):
            report(world, who=who)


def test_without_calls_there_is_nothing(world: World) -> None:
    found = report(world, Key.DAY)
    assert (found.usages, found.totals) == ((), Usage())


def test_a_range_that_ends_before_it_starts_is_refused(world: World) -> None:
    with pytest.raises(InvalidRequest, match="end_time"):
        report(world, start_time=NOW, end_time=NOW - DAY)
    assert report(world, start_time=datetime.min.replace(tzinfo=UTC)).totals == Usage()
    assert report(world, end_time=datetime.max.replace(tzinfo=UTC)).totals == Usage()
    assert report(world, end_time=datetime.min.replace(tzinfo=UTC)).totals == Usage()


def test_more_groups_than_fit_into_an_answer_are_refused(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("p/m", "p/n"):
        world.called(model_id=name)
    monkeypatch.setattr("imrs_server.use_cases.usage.MOST_GROUPS", 1)
    assert len(report(world, Key.PROVIDER).usages) == 1
    with pytest.raises(InvalidRequest, match="group_by"):
        report(world, Key.MODEL)


def test_a_restored_database_is_counted_anew(world: World) -> None:
    random = Random(10)
    rows = store(world, 30, random)
    world.usage_rollup.turn()
    # As if its rows came from a server that had got further, and the state of a third.
    change(world, "alter table messages disable trigger user")
    change(
        world,
        "update messages set xid = (pg_current_xact_id()::text::bigint + 1000)::text::xid8",
    )
    change(world, "alter table messages enable trigger user")
    change(world, "update index_revision set epoch = gen_random_uuid()")
    agrees(report(world, *Key), rows, tuple(Key))
    world.usage_rollup.turn()
    agrees(report(world, *Key), rows, tuple(Key))
    rows += store(world, 5, random)
    world.usage_rollup.turn()
    agrees(report(world, *Key), rows, tuple(Key))


def test_reports_while_calls_come_and_are_added_up_never_lose_or_double_one(world: World) -> None:
    """A report sees what was recorded before it, and at most what was by its end."""
    calls, recorded = 60, 0

    def record() -> None:
        nonlocal recorded
        for _ in range(calls):
            world.called(prompt_tokens=1)
            recorded += 1

    def add_up() -> None:
        rollup = UsageRollup(world.database)
        while not recording.done():
            rollup.turn()

    with ThreadPoolExecutor() as pool:
        recording = pool.submit(record)
        adding_up = pool.submit(add_up)
        while not recording.done():
            before = recorded
            totals = report(world).totals
            assert before <= totals.calls == totals.prompt_tokens <= recorded + 1
        recording.result()
        adding_up.result()
    assert report(world).totals.calls == calls
