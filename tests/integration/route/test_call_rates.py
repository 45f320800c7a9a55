"""A limit of calls a minute, taken in blocks by several servers."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import replace
from typing import TYPE_CHECKING

import psycopg
import pytest

from imrs_server.domain.call_rate import BLOCK_SECONDS, WINDOW_SECONDS
from imrs_server.domain.decision import SelectedModel
from imrs_server.domain.errors import DatabaseUnavailable
from imrs_server.index.warm import Index
from imrs_server.storage.database import Database
from imrs_server.use_cases.breakers import Breakers
from imrs_server.use_cases.call_rates import CallRates
from imrs_server.use_cases.pacing import Pacing
from tests.support import patience
from tests.support.clock import Clock
from tests.support.state import PROVIDER

if TYPE_CHECKING:
    from collections.abc import Iterator

SERVERS = 4


@pytest.fixture
def databases(database: str) -> Iterator[list[Database]]:
    with ExitStack() as stack:
        sizes = {"app_connections": 4, "system_connections": 1}
        yield [stack.enter_context(patience.database(database, **sizes)) for _ in range(SERVERS)]


def limit(dsn: str, rpm: int | None) -> None:
    with psycopg.connect(dsn) as connection:
        connection.execute(
            """
            insert into providers (provider_id, provider_type, dialect, api_base, rate_limit_rpm)
            values ('p', 'CUSTOM', 'openai', 'https://llm.example/v1', %(rpm)s)
            on conflict (provider_id) do update set rate_limit_rpm = %(rpm)s
            """,
            {"rpm": rpm},
        )


def granted(dsn: str) -> int:
    with psycopg.connect(dsn) as connection:
        found = connection.execute("select coalesce(sum(calls), 0)::int from provider_calls").fetchone()
        assert found is not None
        return int(found[0])


@pytest.mark.parametrize("rpm", [1, 7, 100])
def test_all_servers_together_take_as_many_as_the_limit(
    databases: list[Database], database: str, rpm: int
) -> None:
    limit(database, rpm)
    refusals: list[float] = []

    def used_up(_provider_id: str, seconds: float) -> None:
        refusals.append(seconds)

    # For these servers no time goes by: none loses what it was granted because it was held up.
    rates = [CallRates(each, used_up=used_up, clock=Clock()) for each in databases]
    with ThreadPoolExecutor(16) as pool:
        waits = list(pool.map(lambda n: rates[n % SERVERS].take("p"), range(2 * rpm + 32)))
    assert waits.count(0.0) == granted(database) == rpm
    assert len(refusals) == len(waits) - rpm
    assert all(0 < each <= WINDOW_SECONDS for each in refusals)


def test_a_block_saves_asking_and_what_is_left_of_it_is_lost_after_a_second(
    databases: list[Database], database: str
) -> None:
    limit(database, 6000)
    clock = Clock()
    rates = CallRates(databases[0], clock=clock)
    assert [rates.take("p") for _ in range(10)] == [0.0] * 10
    assert granted(database) == 10
    assert rates.take("p") == 0.0
    assert granted(database) == 20
    clock.pass_by(BLOCK_SECONDS)
    assert rates.take("p") == 0.0
    assert granted(database) == 30


def test_a_minute_later_as_many_are_free_and_old_counts_are_gone(
    databases: list[Database], database: str
) -> None:
    limit(database, 5)
    rates = CallRates(databases[0], clock=Clock())
    assert [rates.take("p") > 0 for _ in range(6)] == [False] * 5 + [True]
    with psycopg.connect(database) as connection:
        connection.execute("update provider_calls set second = second - 200")
    assert [rates.take("p") > 0 for _ in range(6)] == [False] * 5 + [True]
    assert granted(database) == 5


def test_without_a_limit_nothing_is_counted(databases: list[Database], database: str) -> None:
    limit(database, None)
    rates = CallRates(databases[0], clock=Clock())
    assert [rates.take("p"), rates.take("unheard-of")] == [0.0, 0.0]
    assert granted(database) == 0


def test_without_the_database_nobody_knows_what_the_others_call_and_so_nobody_calls() -> None:
    away = Database("postgresql://imrs@127.0.0.1:9/imrs", app_connections=1, system_connections=1)
    away.open()
    try:
        rates = CallRates(away)
        with pytest.raises(DatabaseUnavailable):
            rates.take("p")
        pacing = Pacing(Breakers(away, Index()), rates)
        model = SelectedModel(model_id="p/m", provider_id="p")
        refusal = pacing.refused(model, replace(PROVIDER, rate_limit_rpm=5))
        assert refusal is not None
        assert (refusal.wait_seconds, refusal.error.reason) == (None, "DATABASE_UNAVAILABLE")
        assert pacing.refused(model, PROVIDER) is None
    finally:
        away.close()
