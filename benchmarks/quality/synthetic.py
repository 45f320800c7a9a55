"""Tables made up from a seed, each with a structure that is known: what a router may meet."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from benchmarks.quality.table import Table


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """How far models differ over all (``skill``) and by task (``taste``), as standard deviations of logits.

    ``price_follows`` says how much dearer the better models are: a logit is worth so many logarithms of USD.
    """

    tasks: int = 14
    models: int = 12
    skill: float = 0.9
    taste: float = 0.25
    graded: bool = False
    price_spread: float = 1.2
    price_follows: float = 0.8


SHAPES = {
    "usual": Shape(),
    "few_models": Shape(tasks=6, models=3, skill=0.6, taste=0.3),
    "many_models": Shape(models=40, skill=0.8, taste=0.3),
    "noisy": Shape(skill=0.45, taste=0.15),
    "graded": Shape(tasks=10, models=10, skill=0.7, taste=0.3, graded=True),
    "cost_dominated": Shape(tasks=12, models=10, skill=0.3, taste=0.1, price_spread=2.0, price_follows=0.0),
    "tasks_alike": Shape(taste=0.0),
    "tasks_unlike": Shape(models=9, skill=0.5, taste=0.7),
}
PROMPTS = 700
STEEPNESS = 1.6
HARDNESS = 1.2
GRADE_NOISE = 0.15


def make(name: str, seed: int = 1) -> Table:
    """A table of one of SHAPES: an answer is right with a probability that falls with its prompt's hardness,
    or graded by that probability.
    """
    shape = SHAPES[name]
    rng = np.random.default_rng([seed, *name.encode()])
    skill = rng.normal(0, shape.skill, shape.models)
    price = 1e-3 * np.exp(rng.normal(0, shape.price_spread, shape.models) + shape.price_follows * skill)
    scores, costs = {}, {}
    for i in range(shape.tasks):
        ease = skill + rng.normal(0, shape.taste, shape.models) + rng.normal(0.3, 0.7)
        prompts = int(rng.integers(PROMPTS // 2, PROMPTS * 3 // 2))
        hardness = rng.normal(0, HARDNESS, (prompts, 1))
        right = 1 / (1 + np.exp(-STEEPNESS * (ease - hardness)))
        task = f"task-{i:02d}"
        scores[task] = (
            np.clip(right + rng.normal(0, GRADE_NOISE, right.shape), 0, 1)
            if shape.graded
            else (rng.random(right.shape) < right).astype(float)
        )
        costs[task] = price * np.exp(rng.normal(0, 0.4, right.shape))
    models = tuple(f"model-{i:02d}" for i in range(shape.models))
    return Table(name=name, models=models, scores=scores, costs=costs)
