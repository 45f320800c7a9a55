"""Scores: the SRS's formula exactly, and the pooled estimate as the formula says."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imrs_client.ranked import Level
from imrs_server.domain.evidence import NO_DECAY, Decay, weights
from imrs_server.domain.routing import Exploration, RoutingPolicy, Scoring
from tests.support.evidence import cells, knowledge, pool, rated, score

SRS = RoutingPolicy(scoring=Scoring.SRS)
POOLED = RoutingPolicy(scoring=Scoring.POOLED, exploration=Exploration.OFF)
UCB = RoutingPolicy(exploration=Exploration.UCB)
UNTOUCHED = RoutingPolicy()

ratings = st.lists(st.floats(0, 1), min_size=1, max_size=30)
priorities = st.integers(0, 100)


@given(ratings, priorities, st.floats(0, 1), st.floats(0, 1))
def test_srs_is_the_weighted_sum_of_priority_and_average(
    votes: list[float], priority: int, w_p: float, w_e: float
) -> None:
    """FR-06.5: configurable weights."""
    known = knowledge(own={"p/m": {"raw_n": len(votes), "raw_s": math.fsum(votes)}})
    policy = RoutingPolicy(scoring=Scoring.SRS, priority_weight=w_p, experience_weight=w_e)
    found = score(policy, known, [("p/m", priority)])["p/m"]
    expected = w_p * priority / 100 + w_e * (math.fsum(votes) / len(votes))
    assert math.isclose(found.total, expected, abs_tol=1e-9)
    assert (found.level, found.rating_count, found.exploration_term) == (
        Level.AGENT_TASK,
        len(votes),
        0,
    )


def test_srs_uses_the_priority_alone_without_a_rating() -> None:
    """FR-06.6. What other agents of the tenant rated makes no difference."""
    others = knowledge(task={"p/m": rated(5, 5)})
    found = score(SRS, others, [("p/m", 80)])["p/m"]
    assert (found.total, found.level, found.rating_count) == (0.8, Level.PRIOR, 0)


@given(st.dictionaries(st.sampled_from("abcdef"), priorities, min_size=2), st.sampled_from([SRS, UNTOUCHED]))
def test_without_a_rating_for_the_agents_models_the_order_is_that_of_priorities(
    models: dict[str, int], policy: RoutingPolicy
) -> None:
    """FR-06.6, also where the tenant rated models that are not the agent's."""
    others = {"p/other": rated(40, 36)}
    known = knowledge(task_type="code", task=others, pool=pool({"code": others}, weights(policy)))
    found = score(policy, known, models.items())
    assert sorted(models, key=lambda each: (-found[each].total, each)) == sorted(
        models, key=lambda each: (-models[each], each)
    )
    assert {each.level for each in found.values()} == {Level.PRIOR}


def test_pooled_is_the_formula_step_by_step() -> None:
    tasks = {
        "code": {"p/a": rated(12, 9), "p/b": rated(4, 1)},
        "law": {"p/a": rated(6, 2)},
    }
    own = {"p/a": rated(3, 3)}
    known = knowledge(task_type="code", own=own, task=tasks["code"], pool=pool(tasks, weights(POOLED)))
    found = score(POOLED, known, [("p/a", 40), ("p/b", 90), ("p/c", 70)])

    k, m1, m2 = 2, 30, 30
    mean_code, mean_law = (9 + 1 + 1) / (12 + 4 + 2), (2 + 1) / (6 + 2)
    off_a = ((9 - 12 * mean_code) + (2 - 6 * mean_law)) / (18 + 4 * k)
    wp_a = k / (k + 18)
    prior_a = wp_a * 0.4 + (1 - wp_a) * min(max(mean_code + off_a, 0), 1)
    by_task_a = (9 + m1 * prior_a) / (12 + m1)
    estimate_a = (3 + m2 * by_task_a) / (3 + m2)
    assert math.isclose(found["p/a"].total, 0.3 * 0.4 + 0.7 * estimate_a, abs_tol=1e-6)
    assert (found["p/a"].level, found["p/a"].rating_mean, found["p/a"].rating_count) == (
        Level.AGENT_TASK,
        1.0,
        3.0,
    )
    assert found["p/a"].task_rating_count == 12

    off_b = (1 - 4 * mean_code) / (4 + 4 * k)
    wp_b = k / (k + 4)
    prior_b = wp_b * 0.9 + (1 - wp_b) * (mean_code + off_b)
    by_task_b = (1 + m1 * prior_b) / (4 + m1)
    assert math.isclose(found["p/b"].total, 0.3 * 0.9 + 0.7 * by_task_b, abs_tol=1e-6)
    assert (found["p/b"].level, found["p/b"].rating_mean) == (Level.TENANT_TASK, 0.25)

    assert math.isclose(found["p/c"].total, 0.7, abs_tol=1e-6)
    assert found["p/c"].level is Level.PRIOR


def test_ratings_of_other_tasks_speak_for_a_model_that_this_task_has_not_seen() -> None:
    tasks = {"law": {"p/a": rated(50, 45), "p/b": rated(50, 10)}}
    known = knowledge(task_type="code", pool=pool(tasks, weights(POOLED)))
    found = score(POOLED, known, [("p/a", 50), ("p/b", 50), ("p/new", 50)])
    assert found["p/a"].total > found["p/new"].total > found["p/b"].total
    assert (found["p/a"].level, found["p/a"].rating_mean) == (Level.MODEL, 0.9)


def test_the_bonus_falls_with_decisions_and_those_for_others_count_half_up_to_sixty() -> None:
    others = pool({"law": {"p/other": rated(5, 5), "p/new": rated(5, 5)}}, weights(UCB))

    def bonus(own: float, tenant: float) -> float:
        known = knowledge(
            own={"p/new": {"decisions": own}},
            task={"p/new": {"decisions": tenant}},
            pool=others,
        )
        return score(UCB, known, [("p/new", 50)])["p/new"].exploration_term

    assert bonus(0, 0) == 0.1
    assert math.isclose(bonus(3, 10), 0.2 * math.sqrt(0.25 / (3 + 5 + 1)))
    assert math.isclose(bonus(3, 1000), 0.2 * math.sqrt(0.25 / (3 + 30 + 1)))
    assert bonus(100, 1000) < bonus(99, 1000)


def test_only_ucb_adds_a_bonus() -> None:
    known = knowledge(task={"p/m": rated(5, 5)})
    for policy in (SRS, POOLED, RoutingPolicy(exploration=Exploration.EPSILON)):
        assert score(policy, known, [("p/m", 50)])["p/m"].exploration_term == 0


@given(
    st.dictionaries(st.sampled_from("abcdef"), st.tuples(priorities, st.floats(0, 1e6)), min_size=2),
    st.floats(0.001, 1),
    st.floats(0, 1),
)
def test_until_a_model_is_rated_the_bonus_only_orders_equal_priorities(
    models: dict[str, tuple[int, float]], w_p: float, w_e: float
) -> None:
    """FR-06.6: what was chosen least comes first among equals, and a step of priority weighs more."""
    cells = {name: {"decisions": decisions} for name, (_, decisions) in models.items()}
    policy = RoutingPolicy(exploration=Exploration.UCB, priority_weight=w_p, experience_weight=w_e)
    asked = [(name, priority) for name, (priority, _) in models.items()]
    found = score(policy, knowledge(own=cells), asked)
    for one, (priority, _) in models.items():
        for other, (lower, _) in models.items():
            if priority > lower:
                assert found[one].total > found[other].total


@pytest.mark.parametrize("priority", [(50, 50, 50), (60, 50, 50)])
def test_a_thousand_decisions_without_a_rating_follow_priority_and_take_turns_among_equals(
    priority: tuple[int, ...],
) -> None:
    """FR-06.6."""
    models = list(zip("abc", priority, strict=True))
    chosen = dict.fromkeys("abc", 0)
    for _ in range(1000):
        cells = {name: {"decisions": count} for name, count in chosen.items()}
        found = score(UCB, knowledge(own=cells, task=cells), models)
        chosen[max(found, key=lambda each: found[each].total)] += 1
    best = [name for name, each in models if each == max(priority)]
    assert sum(chosen[name] for name in best) == 1000
    assert max(chosen[name] for name in best) - min(chosen[name] for name in best) <= 1


def test_old_ratings_fade_by_half_in_each_half_life() -> None:
    old = {"last_time": 1000.0, "explicit_n": 8, "explicit_s": 8, "decisions": 8}
    decay = Decay(time=1000.0 + 3 * 60, half_life_seconds=60)
    faded = knowledge(own={"p/m": old}, task={"p/m": old}, decay=decay)
    fresh = {"last_time": decay.time, "explicit_n": 1, "explicit_s": 1, "decisions": 1}
    same = knowledge(own={"p/m": fresh}, task={"p/m": fresh}, decay=decay)
    assert score(UCB, faded, [("p/m", 50)]) == score(UCB, same, [("p/m", 50)])


def test_a_deviation_is_that_of_the_ratings_and_of_a_coin_without_any() -> None:
    mixed = {"explicit_n": 100, "explicit_s": 50, "explicit_q": 50}
    found = score(POOLED, knowledge(own={"p/m": mixed}, task={"p/m": mixed}), [("p/m", 50)])
    assert math.isclose(found["p/m"].deviation, math.sqrt(0.25 / (100 + 30)))
    assert score(POOLED, knowledge(), [("p/m", 50)])["p/m"].deviation == 0.5


@pytest.mark.parametrize(
    ("named", "kind", "weight"),
    [
        ({}, "explicit", 1.0),
        ({}, "self", 0.3),
        ({}, "regenerate", 0.3),
        ({}, "copy", 0.3),
        ({}, "continue", 0.0),
        ({}, "abandon", 0.3),
        ({"IMPLICIT": 0.5}, "copy", 0.5),
        ({"IMPLICIT": 0.5}, "continue", 0.0),
        ({"IMPLICIT": 0.5, "COPY": 0.1}, "copy", 0.1),
        ({"CONTINUE": 0.2}, "continue", 0.2),
        ({"SELF_EVAL": 1}, "self", 1.0),
        ({"EVALUATION": 0.2, "SELF_EVAL": 1}, "self", 0.2),
        ({"EXPLICIT": 0.5}, "thumbs_up", 0.5),
        ({"EXPLICIT": 0.5, "THUMBS_DOWN": 2}, "thumbs_down", 2.0),
        ({"SCORE": 0.7}, "explicit", 0.7),
        ({"SCORE": 0.7}, "thumbs_up", 1.0),
    ],
)
def test_ratings_weigh_by_their_kind(named: dict[str, float], kind: str, weight: float) -> None:
    sums: Any = {f"{kind}_n": 10.0, f"{kind}_s": 4.0}
    _, found = cells({"p/m": sums}).read(weights(RoutingPolicy(feedback_weights=named)), NO_DECAY)
    assert (found.n[0], found.s[0]) == (pytest.approx(10 * weight), pytest.approx(4 * weight))


def test_srs_weighs_every_kind_alike() -> None:
    known = knowledge(own={"p/m": {"raw_n": 2, "raw_s": 1.5, "continue_n": 1, "continue_s": 0.5}})
    assert score(SRS, known, [("p/m", 0)])["p/m"].rating_mean == 0.75


def test_a_rounding_error_is_no_rating() -> None:
    _, found = cells({"p/m": rated(-1e-17, 1e-17)}).read(weights(UNTOUCHED), NO_DECAY)
    assert (found.n[0], found.s[0]) == (0, 0)
