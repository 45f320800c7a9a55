"""Exploration by chance: rare, within its guard rails, and the same for the same request."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from imrs_client.decide import decide
from imrs_client.explore import uniform
from imrs_client.query import Query
from imrs_client.ranked import Candidate, Policy, RankedTable, Reason
from tests.support.tables import candidate, table

RATE = 0.2
DRAWS = [Query(chance=str(number)) for number in range(2000)]


def maybe_better(model_id: str, **changes: Any) -> Candidate:
    """Less is known of it than of the best: it may be the better one."""
    known: dict[str, Any] = {"estimate": 0.5, "deviation": 0.5, "task_rating_count": 0}
    return candidate(model_id, 0.5, **(known | changes))


def known(model_id: str, estimate: float = 0.8, **changes: Any) -> Candidate:
    return candidate(model_id, estimate, **({"estimate": estimate, "deviation": 0.02} | changes))


def exploring(*candidates: Candidate, rate: float = RATE, **changes: Any) -> RankedTable:
    policy = Policy(exploration_rate=rate, session_affinity=False, cheaper_when_similar=False)
    return table(*candidates, **({"policy": policy} | changes))


def picked(ranked: RankedTable, queries: list[Query] = DRAWS) -> Counter[str]:
    return Counter(ranked.candidates[decide(ranked, each).selected].model_id for each in queries)


def test_the_share_of_each_is_its_propensity() -> None:
    ranked = exploring(known("p/best"), maybe_better("p/a"), maybe_better("p/b"))
    shares = picked(ranked)
    choices = {decide(ranked, each) for each in DRAWS}
    told = {ranked.candidates[each.selected].model_id: each for each in choices}
    assert {name: each.reason for name, each in told.items()} == {
        "p/best": Reason.SCORE,
        "p/a": Reason.EXPLORE,
        "p/b": Reason.EXPLORE,
    }
    for model_id, choice in told.items():
        propensity = choice.propensity or 0.0
        assert propensity == pytest.approx(RATE / 3 + (1 - RATE) * (model_id == "p/best"))
        spread = (propensity * (1 - propensity) / len(DRAWS)) ** 0.5
        assert abs(shares[model_id] / len(DRAWS) - propensity) < 4 * spread


def test_the_same_request_draws_the_same() -> None:
    ranked = exploring(known("p/best"), maybe_better("p/a"), maybe_better("p/b"))
    assert [decide(ranked, each) for each in DRAWS[:100]] == [decide(ranked, each) for each in DRAWS[:100]]


@pytest.mark.parametrize(
    "out",
    [
        known("p/known", 0.6),
        maybe_better("p/dear", cost_usd=3.1),
        maybe_better("p/premium", cost_tier="PREMIUM"),
        maybe_better("p/bad", estimate=0.5, deviation=0.35, task_rating_count=20),
    ],
    ids=lambda each: each.external_id,
)
def test_what_is_surely_worse_or_far_dearer_is_not_tried(out: Candidate) -> None:
    ranked = exploring(known("p/best", cost_usd=1.0), maybe_better("p/a", cost_usd=3.0), out)
    assert set(picked(ranked)) == {"p/best", "p/a"}


def test_a_premium_model_is_tried_beside_another() -> None:
    ranked = exploring(known("p/best", cost_tier="PREMIUM"), maybe_better("p/a", cost_tier="PREMIUM"))
    assert set(picked(ranked)) == {"p/best", "p/a"}


def test_only_eligible_models_are_tried() -> None:
    ranked = exploring(known("p/best"), maybe_better("p/a"), maybe_better("p/b"))
    found = picked(ranked, [Query(chance=each.chance, excluded_models=("p/b",)) for each in DRAWS])
    assert set(found) == {"p/best", "p/a"}


def test_nothing_is_tried_in_place_of_a_pin_a_preference_or_the_model_before() -> None:
    models = known("p/best"), maybe_better("p/a"), known("p/b", 0.3)
    everything = Policy(exploration_rate=1.0)
    pinned = table(*models, policy=everything, override_model_id="p/b")
    preferred = table(*models, policy=everything, preferred_model_ids=("p/b",))
    assert set(picked(pinned)) == set(picked(preferred)) == {"p/b"}
    assert decide(pinned, DRAWS[0]).propensity is None
    stays = [Query(chance=each.chance, previous_model_id="p/b") for each in DRAWS[:50]]
    assert set(picked(table(*models, policy=everything), stays)) == {"p/b"}


def test_what_is_tried_is_not_its_own_fallback() -> None:
    ranked = exploring(known("p/best"), maybe_better("p/a"), rate=1.0)
    for query in DRAWS[:100]:
        choice = decide(ranked, query)
        assert choice.fallbacks == (1 - choice.selected,)


def test_a_rate_of_one_leaves_everything_to_chance() -> None:
    shares = picked(exploring(known("p/best"), maybe_better("p/a"), rate=1.0))
    assert 0.45 < shares["p/best"] / len(DRAWS) < 0.55


def test_draws_are_spread_evenly() -> None:
    drawn = [uniform(str(number)) for number in range(10_000)]
    assert 0 <= min(drawn) < 0.001
    assert 0.999 < max(drawn) < 1
    tenths = Counter(int(each * 10) for each in drawn)
    assert all(900 < tenths[each] < 1100 for each in range(10))
