"""What a run says, and whether that is enough."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from numpy.typing import NDArray

    from benchmarks.quality.lane import Lane
    from benchmarks.quality.plan import Plan
    from benchmarks.quality.table import Table

# A cell is one agent's requests of one task type; in a smaller one nothing can have settled.
CELL_REQUESTS = 60
STUCK_BELOW = 0.05
LAST_PICKS = 10

WHOLE_PERCENT = 90.0
LAST_FIFTH_PERCENT = 93.5
AHEAD_POINTS = 5.0
LEFT_PERCENT = 10.0
TRIED_REQUESTS = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """Means over seeds: percent of what the oracle earned, percent of what it spent, percent of cells that
    ended at a model well below their best. ``deviation`` is of ``whole`` between seeds.
    """

    name: str
    whole: float
    last_fifth: float
    deviation: float
    cost: float
    stuck: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """A figure beside its bound."""

    name: str
    value: float
    bound: float
    at_least: bool = True

    @property
    def holds(self) -> bool:
        return self.value >= self.bound if self.at_least else self.value <= self.bound


def summary(table: Table, lanes: Sequence[Lane]) -> Summary:
    """Of all seeds of an arm."""
    stuck = [_stuck(table, each) for each in lanes]
    return _summary(lanes[0].arm.name, [(each.plan, each.picks) for each in lanes], float(np.mean(stuck)))


def references(lanes: Sequence[Lane]) -> list[Summary]:
    """What never learns: the choice that the first answer made, for ever; and the best model in hindsight."""
    plans = [each.plan for each in lanes]
    static = [np.full(len(each.plan), each.picks[0]) for each in lanes]
    single = [np.full(len(each), each.best_single) for each in plans]
    return [
        _summary("static priority", list(zip(plans, static, strict=True))),
        _summary("best single model", list(zip(plans, single, strict=True))),
        _summary("oracle per task", [(each, each.oracle) for each in plans]),
    ]


def curve(plan: Plan, picks: NDArray[np.int64], bins: int) -> NDArray[np.float64]:
    """Percent of what the oracle earned, in each of so many equal parts of the run."""
    earned = [part.sum() for part in np.array_split(_of(plan.scores, picks), bins)]
    best = [part.sum() for part in np.array_split(_of(plan.scores, plan.oracle), bins)]
    return 100 * np.array(earned) / np.maximum(best, 1e-9)


def share(lane: Lane, model: int, bins: int) -> NDArray[np.float64]:
    """Percent of requests that went to a model, in each of so many equal parts of the run."""
    return np.array([100 * (part == model).mean() for part in np.array_split(lane.picks, bins)])


def checks(table: Table, arms: Mapping[str, Sequence[Lane]]) -> list[Check]:
    """Every bound of which the arms were played."""
    found = []
    if "pooled" in arms:
        mine = summary(table, arms["pooled"])
        found += [
            Check(name="whole run, % of the oracle per task", value=mine.whole, bound=WHOLE_PERCENT),
            Check(
                name="last fifth, % of the oracle per task", value=mine.last_fifth, bound=LAST_FIFTH_PERCENT
            ),
        ]
    for world in ("fifth rated", "500 late"):
        ours, theirs = arms.get(f"pooled {world}"), arms.get(f"srs {world}")
        if ours and theirs and _worth_learning(theirs):
            ahead = summary(table, ours).whole - summary(table, theirs).whole
            name = f"{world}: points ahead of the SRS formula"
            found.append(Check(name=name, value=ahead, bound=AHEAD_POINTS))
    best = table.best_model
    if "pooled best falls" in arms:
        left = float(np.mean([share(each, best, 5)[-1] for each in arms["pooled best falls"]]))
        name = "best model fell: % of requests it still gets in the last fifth"
        found.append(Check(name=name, value=left, bound=LEFT_PERCENT, at_least=False))
    if "pooled best arrives" in arms:
        waited = max(_first(each, best) for each in arms["pooled best arrives"])
        name = "best model arrived: requests until it was tried, slowest seed"
        found.append(Check(name=name, value=waited, bound=TRIED_REQUESTS, at_least=False))
    return found


def _worth_learning(lanes: Sequence[Lane]) -> bool:
    """Whether the first choice, kept for ever, is worth less than what learning must reach.

    Where it is worth more, no formula is far ahead of another.
    """
    static, _, _ = references(lanes)
    return static.whole < WHOLE_PERCENT


def _summary(
    name: str, runs: Sequence[tuple[Plan, NDArray[np.int64]]], stuck: float | None = None
) -> Summary:
    def mean(figure: Callable[[Plan, NDArray[np.int64]], float]) -> float:
        return float(np.mean([figure(*run) for run in runs]))

    return Summary(
        name=name,
        whole=mean(lambda plan, picks: float(curve(plan, picks, 1)[0])),
        last_fifth=mean(lambda plan, picks: float(curve(plan, picks, 5)[-1])),
        deviation=float(np.std([curve(*run, 1)[0] for run in runs])),
        cost=mean(
            lambda plan, picks: float(
                100 * _of(plan.costs, picks).sum() / max(_of(plan.costs, plan.oracle).sum(), 1e-12)
            )
        ),
        stuck=stuck,
    )


def _stuck(table: Table, lane: Lane) -> float:
    """Percent of large enough cells whose last picks are mostly of a model well below the best."""
    cells = Counter(zip(lane.plan.agents.tolist(), lane.plan.tasks.tolist(), strict=True))
    large = [cell for cell, requests in cells.items() if requests >= CELL_REQUESTS]
    found = 0
    for agent, task in large:
        last = lane.picks[(lane.plan.agents == agent) & (lane.plan.tasks == task)][-LAST_PICKS:]
        settled = np.bincount(last).argmax()
        worth = table.mean_scores[task]
        found += bool(worth[settled] < worth.max() - STUCK_BELOW)
    return 100 * found / max(len(large), 1)


def _first(lane: Lane, model: int) -> int:
    """Requests from half way until a model was picked, counting that one; all of them if it never was."""
    after = lane.picks[len(lane.plan) // 2 :]
    found = np.flatnonzero(after == model)
    return int(found[0]) + 1 if len(found) else len(lane.plan)


def _of(values: NDArray[np.float64], picks: NDArray[np.int64]) -> NDArray[np.float64]:
    return np.asarray(values[np.arange(len(picks)), picks])
