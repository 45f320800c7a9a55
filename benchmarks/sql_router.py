"""Our decision beside the specification's algorithm as one query of the database for each request."""

from __future__ import annotations

import random
import statistics
import time
from typing import TYPE_CHECKING

import psycopg

from benchmarks import population
from benchmarks.rows import Row, faster, percentile
from benchmarks.world import AGENTS, TASKS, Agent, world
from imrs_client.decide import decide

if TYPE_CHECKING:
    from imrs_client.ranked import RankedTable

ROUNDS = 5
CALLS = 400
DECISIONS = 4000
# As many models as an agent of the world has.
MODELS = 100
# SRS 3.6: 0.3 of the priority and 0.7 of the average rating where there is one, over what may serve.
QUERY = """
    select agent_models.model_id
    from agent_models
    join models using (model_id)
    join providers using (provider_id)
    left join evidence
        on evidence.tenant_id = agent_models.tenant_id
        and evidence.agent_id = agent_models.agent_id
        and evidence.task_type = %(task_type)s
        and evidence.model_id = agent_models.model_id
        and evidence.raw_n > 0
    where agent_models.tenant_id = %(tenant_id)s
        and agent_models.agent_id = %(agent_id)s
        and agent_models.enabled
        and models.available
        and models.delete_time is null
        and providers.state = 'ACTIVE'
        and models.capabilities @> %(capabilities)s::jsonb
    order by
        case
            when evidence.raw_n is null then coalesce(priority_override, priority) / 100.0
            else 0.3 * coalesce(priority_override, priority) / 100.0 + 0.7 * raw_s / raw_n
        end desc,
        model_id
    limit 4
"""


def measure() -> list[Row]:
    """Microseconds of a choice; agents and tasks by chance, over a connection that stays open."""
    draw = random.Random(7)
    tables = _tables(draw)
    ours, theirs, slow = [], [], []
    with psycopg.connect(world().dsn, autocommit=True, prepare_threshold=1) as connection:
        _by_query(connection, draw)
        for _ in range(ROUNDS):
            taken = _by_query(connection, draw)
            theirs.append(statistics.median(taken))
            slow.append(percentile(taken, 95))
            ours.append(_by_table(draw, tables))
    beside = f"the SRS's algorithm as one query on counted ratings, agents of {MODELS} models, medians"
    return [
        faster("sql_router", ours, theirs, "us", beside),
        Row(name="sql_router_p95_us", value=statistics.median(slow), unit="us", beside="the query itself"),
    ]


def _tables(draw: random.Random) -> list[RankedTable]:
    models = population.catalogue(draw)
    return [population.table(draw, f"agent{n}", "task", draw.sample(models, MODELS)) for n in range(40)]


def _by_query(connection: psycopg.Connection, draw: random.Random) -> list[float]:
    taken = []
    for _ in range(CALLS):
        agent = Agent(draw.randrange(AGENTS))
        asked = {
            "tenant_id": agent.tenant_id,
            "agent_id": agent.agent_id,
            "task_type": f"task-{draw.randrange(TASKS)}",
            "capabilities": '["text"]',
        }
        start = time.perf_counter()
        found = connection.execute(QUERY, asked).fetchall()
        taken.append((time.perf_counter() - start) * 1e6)
        assert found
    return taken


def _by_table(draw: random.Random, tables: list[RankedTable]) -> float:
    asked = [population.asked(draw, draw.choice(tables)) for _ in range(DECISIONS)]
    taken = []
    for each in asked:
        start = time.perf_counter()
        decide(each.table, each.query)
        taken.append((time.perf_counter() - start) * 1e6)
    return statistics.median(taken)
