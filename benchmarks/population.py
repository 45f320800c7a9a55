"""Agents of a large installation as ranked tables, and what they ask of them."""

from __future__ import annotations

from bisect import bisect
from dataclasses import dataclass, replace
from itertools import accumulate
from typing import TYPE_CHECKING

from imrs_client.query import COST_TIERS, Query
from imrs_client.ranked import Candidate, Level, RankedTable

if TYPE_CHECKING:
    import random
    from collections.abc import Sequence

MODELS = 50_000
PROVIDERS = 100
LEAST, MOST = 10, 2000
TASKS = 15
TASKS_EACH = 3
RATED_SHARE = 0.1
WITH_LIST = 0.2
# Sets of capabilities, and how many of a hundred models have them, as in catalogues of chat models.
CAPABILITIES = {
    ("text",): 45,
    ("text", "function_calling"): 25,
    ("text", "vision"): 10,
    ("text", "function_calling", "vision"): 12,
    ("text", "code"): 4,
    ("text", "code", "function_calling", "long_context"): 3,
    ("text", "audio", "function_calling", "long_context", "reasoning", "vision"): 1,
}
CONTEXT_LENGTHS = (4096, 8192, 16_384, 32_768, 65_536, 128_000, 200_000, 262_144, 1_000_000)


@dataclass(frozen=True, slots=True)
class Asked:
    """A request, and the table that answers it."""

    table: RankedTable
    query: Query


def catalogue(draw: random.Random) -> list[Candidate]:
    """All models, as none is rated."""
    sets, shares = list(CAPABILITIES), list(accumulate(CAPABILITIES.values()))
    return [
        Candidate(
            model_id=f"p{i % PROVIDERS}/lab/model-{i}",
            external_id=f"lab/model-{i}",
            capabilities=frozenset(sets[bisect(shares, draw.randrange(shares[-1]))]),
            context_length=draw.choice(CONTEXT_LENGTHS),
            priority=draw.randrange(0, 101, 10),
            cost_tier=draw.choice(COST_TIERS),
            cost_usd=round(draw.lognormvariate(0, 1.5), 3),
        )
        for i in range(MODELS)
    ]


def tables(draw: random.Random, models: Sequence[Candidate], agents: int) -> list[RankedTable]:
    """So many agents, their sizes spread evenly over orders of magnitude, each with a few of the tasks."""
    found = []
    for number in range(agents):
        size = round(LEAST * (MOST / LEAST) ** draw.random())
        mine = draw.sample(models, size)
        tasks = draw.sample(range(TASKS), TASKS_EACH)
        found += [table(draw, f"agent{number}", f"task{task}", mine) for task in tasks]
    return found


def asked(draw: random.Random, table: RankedTable) -> Asked:
    """A request that some model of the agent can serve; a fifth of them name the models they allow."""
    model = draw.choice(table.candidates)
    wanted = sorted(model.capabilities - {"text"})
    query = Query(
        capabilities=("text", *draw.sample(wanted, draw.randint(0, min(len(wanted), 2)))),
        estimated_prompt_tokens=min(draw.randrange(100, 20_000), model.context_length or 0),
        max_cost_tier=model.cost_tier if draw.random() < 0.1 else None,
        allowed_models=_list(draw, table, model) if draw.random() < WITH_LIST else None,
    )
    return Asked(table, query)


def table(draw: random.Random, agent_id: str, task_type: str, models: Sequence[Candidate]) -> RankedTable:
    """One agent and task; of a tenth of the models it knows ratings."""
    scored = [_scored(draw, each) for each in models]
    scored.sort(key=lambda each: (-each.score, each.cost_usd, each.model_id))
    return RankedTable(revision=1, agent_id=agent_id, task_type=task_type, candidates=tuple(scored))


def _scored(draw: random.Random, model: Candidate) -> Candidate:
    priority_term = 0.3 * model.priority / 100
    if draw.random() >= RATED_SHARE:
        return replace(model, priority_term=priority_term, experience_term=0.7 * model.priority / 100)
    rating = draw.betavariate(6, 3)
    return replace(
        model,
        priority_term=priority_term,
        experience_term=0.7 * rating,
        exploration_term=0.01 * draw.random(),
        rating_mean=rating,
        rating_count=float(draw.randrange(1, 100)),
        task_rating_count=float(draw.randrange(1, 100)),
        level=Level.AGENT_TASK,
        estimate=rating,
    )


def _list(draw: random.Random, table: RankedTable, model: Candidate) -> tuple[str, ...]:
    most = min(len(table.candidates), draw.randint(5, 50))
    return (model.model_id, *(each.model_id for each in draw.sample(table.candidates, most)))
