"""Estimates of what another policy would have been worth, where the truth is known."""

from __future__ import annotations

import random
from dataclasses import dataclass
from math import sqrt
from statistics import fmean

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imrs_server.domain.off_policy import (
    Estimate,
    MeanRatings,
    Trial,
    doubly_robust,
    effective_sample_size,
    snips,
)

TASKS = ("code", "law", "poem", "sum", "talk")


@dataclass
class Simulation:
    """Tasks and models with known mean ratings; the log takes one of the better models, and eps by chance."""

    models: int
    epsilon: float
    random: random.Random

    def __post_init__(self) -> None:
        self.names = [f"p/{i}" for i in range(self.models)]
        self.truth = {task: [self.random.uniform(0.2, 0.9) for _ in self.names] for task in TASKS}

    def ranked(self, task: str, place: int) -> int:
        order = sorted(range(self.models), key=lambda i: -self.truth[task][i])
        return order[min(place, self.models - 1)]

    def worth(self, target: dict[str, int]) -> float:
        return fmean(self.truth[task][target[task]] for task in TASKS)

    def trials(self, n: int, target: dict[str, int]) -> list[Trial]:
        draw = self.random
        logged = {task: self.ranked(task, 2) for task in TASKS}
        share = self.epsilon / self.models
        chances = {task: {self.names[i]: 1.0} for task, i in target.items()}
        made = []
        for _ in range(n):
            task = draw.choice(TASKS)
            explores = draw.random() < self.epsilon
            picked = draw.randrange(self.models) if explores else logged[task]
            propensity = share + (1 - self.epsilon) * (picked == logged[task])
            rating = float(draw.random() < self.truth[task][picked])
            made.append(Trial(task, self.names[picked], rating, propensity, chances[task], draw.randrange(2)))
        return made


def targets(simulation: Simulation) -> dict[str, dict[str, int]]:
    return {
        "the best of each task": {task: simulation.ranked(task, 0) for task in TASKS},
        "one other model": dict.fromkeys(TASKS, 1),
    }


def found(estimate: Estimate | None) -> Estimate:
    assert estimate is not None
    return estimate


@pytest.mark.parametrize("target", ["the best of each task", "one other model"])
def test_the_error_is_a_few_points_with_a_tenth_by_chance(target: str) -> None:
    errors: dict[str, list[float]] = {"dr": [], "snips": [], "mean of the log": []}
    for seed in range(16):
        simulation = Simulation(11, 0.1, random.Random(seed))
        wanted = targets(simulation)[target]
        trials, truth = simulation.trials(20_000, wanted), simulation.worth(wanted)
        errors["dr"].append(doubly_robust(trials).value - truth)
        errors["snips"].append(found(snips(trials)).value - truth)
        errors["mean of the log"].append(fmean(each.rating for each in trials) - truth)
    rmse = {method: sqrt(fmean(error**2 for error in some)) for method, some in errors.items()}
    assert rmse["dr"] < 0.04
    assert rmse["snips"] < 0.045
    assert rmse["dr"] < rmse["mean of the log"] / 2


@pytest.mark.parametrize("target", ["the best of each task", "one other model"])
def test_the_interval_holds_the_truth(target: str) -> None:
    held = {"dr": 0, "snips": 0}
    for seed in range(200):
        simulation = Simulation(4, 0.4, random.Random(1000 + seed))
        wanted = targets(simulation)[target]
        trials, truth = simulation.trials(2500, wanted), simulation.worth(wanted)
        for each in (doubly_robust(trials), found(snips(trials))):
            assert each.effective_sample_size > 180
            held[each.method] += each.lower <= truth <= each.upper
    assert min(held.values()) >= 180


def test_the_policy_of_the_log_itself_is_worth_what_was_rated() -> None:
    trials = [Trial("code", f"p/{i % 3}", i % 2, 1.0, {f"p/{i % 3}": 1.0}, i % 2) for i in range(300)]
    assert effective_sample_size(trials) == pytest.approx(300)
    assert found(snips(trials)).value == pytest.approx(0.5)
    assert doubly_robust(trials).value == pytest.approx(0.5, abs=1e-9)


def test_a_log_that_never_chose_so_has_no_weight() -> None:
    trials = [Trial("code", "p/a", 1.0, 0.5, {"p/b": 1.0}, i % 2) for i in range(10)]
    assert effective_sample_size(trials) == 0
    assert snips(trials) is None


def test_few_ratings_are_drawn_towards_what_is_known_less_particularly() -> None:
    ratings = [("code", "p/a", 1.0)] * 90 + [("law", "p/a", 0.0)] + [("code", "p/b", 0.0)] * 200
    means = MeanRatings(ratings)
    overall = 91 / 293
    model = (90 + 10 * overall) / 101
    assert means.of("law", "p/a") == pytest.approx(10 * model / 11)
    assert means.of("poem", "p/a") == pytest.approx((90 + 10 * overall) / 101)
    assert means.of("poem", "p/c") == pytest.approx(overall)
    assert means.under("poem", {"p/a": 0.25, "p/c": 0.75}) == pytest.approx(0.25 * model + 0.75 * overall)
    assert MeanRatings([]).of("code", "p/a") == 0.5


models = st.sampled_from(["p/a", "p/b", "p/c"])
some_trials = st.lists(
    st.builds(
        Trial,
        st.sampled_from(TASKS),
        models,
        st.floats(0, 1),
        st.floats(0.001, 1),
        models.map(lambda name: {name: 1.0}) | st.just({"p/a": 0.5, "p/b": 0.5}),
        st.integers(0, 1),
    ),
    min_size=1,
    max_size=30,
)


@given(some_trials)
def test_an_estimate_is_a_rating_within_its_interval(trials: list[Trial]) -> None:
    for each in filter(None, (doubly_robust(trials), snips(trials))):
        assert 0 <= each.lower <= each.value <= each.upper <= 1
        assert 0 <= each.effective_sample_size <= len(trials) + 1e-6


@given(some_trials, st.randoms())
def test_the_order_of_the_log_does_not_matter(trials: list[Trial], shuffle: random.Random) -> None:
    before = doubly_robust(trials)
    shuffled = list(trials)
    shuffle.shuffle(shuffled)
    assert doubly_robust(shuffled).value == pytest.approx(before.value, abs=1e-9)
