"""Models that cool and budgets that run out: who is passed over, and who serves nevertheless."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from imrs_client.decide import NothingEligible, decide, explain
from imrs_client.limits import UNLIMITED, Budget, Cooling, Funds, Limits
from imrs_client.query import Query
from imrs_client.ranked import RankedTable, RemovedBy
from tests.support.tables import candidate, easy, queries, table, tables

ASK = Query()
COLD = Cooling("rate limited until 12:00")
SPENT = Budget(Funds.SPENT, "1.00 of 1.00 USD")
RANKED = table(
    candidate("p/a", score=0.9, cost_tier="PREMIUM"),
    candidate("p/b", score=0.89, cost_tier="LOW"),
    candidate("p/c", score=0.5, cost_tier="FREE"),
)


def chosen(limits: Limits, query: Query = ASK, ranked: RankedTable = RANKED) -> str:
    return ranked.candidates[decide(ranked, query, limits).selected].model_id


def removals(limits: Limits) -> list[RemovedBy | None]:
    return [each.removed_by for each in explain(RANKED, Query(), limits)]


def test_a_model_that_cools_is_passed_over_and_the_explanation_says_why() -> None:
    limits = Limits({"p/a": COLD})
    assert chosen(UNLIMITED) == "p/a"
    assert chosen(limits) == "p/b"
    assert removals(limits) == [RemovedBy.COOLDOWN, None, None]
    assert explain(RANKED, Query(), limits)[0].detail == COLD.detail


def test_where_all_that_is_eligible_cools_it_serves_rather_than_nothing() -> None:
    limits = Limits(dict.fromkeys(("p/a", "p/b", "p/c"), COLD))
    assert chosen(limits) == "p/a"
    assert removals(limits) == [None, None, None]
    assert chosen(Limits({"p/c": COLD}), Query(max_cost_tier="FREE")) == "p/c"


def test_a_model_that_recovers_gets_its_share_and_the_same_request_the_same_answer() -> None:
    limits = Limits({"p/a": Cooling("recovers", 0.25)})
    asked = [Query(chance=str(number)) for number in range(4000)]
    counts = Counter(chosen(limits, each) for each in asked)
    # Four standard deviations of a share of 0.25 in 4000.
    assert counts["p/a"] / len(asked) == pytest.approx(0.25, abs=0.028)
    assert [chosen(limits, each) for each in asked[:50]] == [chosen(limits, each) for each in asked[:50]]


def test_a_growing_share_never_takes_a_request_back() -> None:
    asked = [Query(chance=str(number)) for number in range(300)]
    taken: set[str] = set()
    for share in (0.1, 0.25, 0.5, 0.9):
        limits = Limits({"p/a": Cooling("recovers", share)})
        now = {each.chance for each in asked if chosen(limits, each) == "p/a"}
        assert taken <= now
        taken = now


def test_a_spent_budget_leaves_free_models_unless_it_counts_what_they_use_too() -> None:
    assert chosen(Limits(budget=SPENT)) == "p/c"
    assert removals(Limits(budget=SPENT)) == [RemovedBy.BUDGET, RemovedBy.BUDGET, None]
    with pytest.raises(NothingEligible) as caught:
        chosen(Limits(budget=replace(SPENT, keeps_free=False)))
    assert caught.value.removed == {RemovedBy.BUDGET: 3}


def test_a_budget_that_runs_out_takes_the_cheapest_of_similar_models_unless_the_request_says_which() -> None:
    sparing = Limits(budget=Budget(Funds.SPARING, "0.90 of 1.00 USD"))
    assert chosen(sparing) == "p/b"
    assert chosen(sparing, Query(prefer_cost_tier="PREMIUM")) == "p/a"
    assert removals(sparing) == [None, None, None]


limits_of_tables = st.builds(
    Limits,
    st.dictionaries(
        st.sampled_from([f"p/m{number}" for number in range(8)]),
        st.builds(Cooling, st.just("cools"), st.sampled_from([0.0, 0.5])),
    ),
    st.none() | st.builds(Budget, st.sampled_from(Funds), st.just("spent"), st.booleans()),
)


@settings(max_examples=100)
@given(tables(), queries().map(easy), limits_of_tables)
def test_what_is_chosen_passes_what_the_filters_say_one_by_one(
    ranked: RankedTable, query: Query, limits: Limits
) -> None:
    passing = [i for i, each in enumerate(explain(ranked, query, limits)) if each.removed_by is None]
    if not passing:
        with pytest.raises(NothingEligible):
            decide(ranked, query, limits)
        return
    choice = decide(ranked, query, limits)
    assert choice.eligible == len(passing)
    assert {choice.selected, *choice.fallbacks} <= set(passing)
