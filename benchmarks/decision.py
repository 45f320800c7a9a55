"""One decision in memory, as Route and a replica take it, without what carries the request."""

from __future__ import annotations

import gc
import random
import statistics
import time
from typing import TYPE_CHECKING

from benchmarks import population
from benchmarks.rows import Row, percentile
from imrs_client.decide import decide

if TYPE_CHECKING:
    from collections.abc import Sequence

    from benchmarks.population import Asked
    from imrs_client.ranked import Candidate, RankedTable

AGENTS = 150
REQUESTS = 10_000
ROUNDS = 5
LARGE = 1000
SIZES = (10, 100, 1000)


def measure() -> list[Row]:
    """Microseconds of a decision, by the clock; each round asks anew, so only what recurs is remembered."""
    draw = random.Random(7)
    models = population.catalogue(draw)
    tables = population.tables(draw, models, AGENTS)
    large = [each for each in tables if len(each.candidates) >= LARGE]
    gc.collect()
    gc.freeze()
    _round(draw, tables)
    rounds = [_round(draw, tables) for _ in range(ROUNDS)]
    largest = [_round(draw, large) for _ in range(ROUNDS)]
    first = [_first_us(draw, large) for _ in range(ROUNDS)]
    by_size = {size: _by_size(draw, models, size) for size in SIZES}
    gc.unfreeze()
    beside = f"{population.MODELS:,} models, agents of {population.LEAST} to {population.MOST:,}"
    return [
        _row("decision_mean_us", [statistics.fmean(each) for each in rounds], beside),
        _row("decision_p50_us", [percentile(each, 50) for each in rounds], beside),
        _row("decision_p99_us", [percentile(each, 99) for each in rounds], beside),
        _row(
            "decision_large_mean_us",
            [statistics.fmean(each) for each in largest],
            f"agents of {LARGE:,} to {population.MOST:,} models",
        ),
        _row("decision_first_us", first, f"the first ones after a change, {LARGE:,} models and more"),
        *(
            _row(f"decision_of_{size}_us", found, f"agents of {size:,} models, mean")
            for size, found in by_size.items()
        ),
    ]


def _round(draw: random.Random, tables: Sequence[RankedTable]) -> list[float]:
    return _took_us([population.asked(draw, draw.choice(tables)) for _ in range(REQUESTS)])


def _by_size(draw: random.Random, models: Sequence[Candidate], size: int) -> list[float]:
    tables = [population.table(draw, f"agent{n}", "task", draw.sample(models, size)) for n in range(20)]
    _round(draw, tables)
    return [statistics.fmean(_round(draw, tables)) for _ in range(ROUNDS)]


def _first_us(draw: random.Random, tables: Sequence[RankedTable]) -> float:
    """On tables that remember nothing yet."""
    fresh = [
        type(each)(
            revision=each.revision + 1,
            agent_id=each.agent_id,
            task_type=each.task_type,
            candidates=each.candidates,
        )
        for each in tables
    ]
    return statistics.fmean(_took_us([population.asked(draw, each) for each in fresh]))


def _took_us(requests: Sequence[Asked]) -> list[float]:
    now = time.perf_counter_ns
    taken = []
    for each in requests:
        start = now()
        decide(each.table, each.query)
        taken.append((now() - start) / 1000)
    return taken


def _row(name: str, rounds: Sequence[float], beside: str) -> Row:
    return Row(name=name, value=statistics.median(rounds), unit="us", beside=beside)
