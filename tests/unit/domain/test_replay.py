"""What a replay counts: changes, money, and whether the log can say how good the answers would have been."""

from __future__ import annotations

import random
from decimal import Decimal
from uuid import UUID, uuid4

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from imrs_client.query import Query
from imrs_server.domain.cost_difference import CostDifference, Tokens
from imrs_server.domain.model import PriceState
from imrs_server.domain.pricing import Price
from imrs_server.domain.replay import MOST_EXAMPLES, NO_MODEL, Logged, Replay, Retaken, Tally

A, B, C = "p/a", "p/b", "p/c"


def logged(
    model_id: str = A,
    rating: float | None = None,
    *,
    propensity: float | None = None,
    propensities: dict[str, float] | None = None,
    tokens: Tokens | None = None,
    task_type: str = "code",
) -> Logged:
    return Logged(
        decision_id=uuid4(),
        task_type=task_type,
        model_id=model_id,
        query=Query(),
        propensity=propensity,
        propensities=propensities or {},
        rating=rating,
        tokens=tokens,
    )


def certain(model_id: str) -> Retaken:
    return Retaken(model_id, {model_id: 1.0})


def tally(*pairs: tuple[Logged, Retaken]) -> Replay:
    found = Tally()
    for each, retaken in pairs:
        found.add(each, retaken)
    return found.report({}, {})


def explored(n: int, *, epsilon: float, seed: int = 1) -> list[Logged]:
    """Decisions for A but for a share by chance between A and B, which is better: 0.8 against 0.4."""
    draw = random.Random(seed)
    chances = {A: 1 - epsilon / 2, B: epsilon / 2}
    made = []
    for _ in range(n):
        model_id = B if draw.random() < epsilon / 2 else A
        rating = float(draw.random() < (0.8 if model_id == B else 0.4))
        made.append(logged(model_id, rating, propensity=chances[model_id], propensities=chances))
    return made


def test_nothing_to_replay_is_no_answer() -> None:
    found = tally()
    assert not found.identifiable
    assert (found.replayed, found.changed_share, found.estimates, found.model_estimate) == (0, 0.0, (), None)


def test_a_log_without_chance_cannot_answer_however_many_ratings_it_has() -> None:
    found = tally(*[(logged(A, 0.5), certain(B)) for _ in range(500)], *[(logged(B, 1.0), certain(B))] * 500)
    assert not found.identifiable
    assert "nothing was left to chance" in found.detail
    assert found.estimates == ()
    assert found.changed_share == 0.5
    assert found.coverage == 0.5
    assert found.rated == 1000
    assert found.logged_rating == 0.75
    # What the mean ratings of models say is given for what it is.
    assert found.model_estimate == pytest.approx(1.0, abs=0.02)


def test_a_log_with_chance_answers_near_the_truth() -> None:
    found = tally(*[(each, certain(B)) for each in explored(6000, epsilon=0.2)])
    assert found.identifiable
    assert found.detail == ""
    assert found.coverage == 1.0
    assert [each.method for each in found.estimates] == ["dr", "snips"]
    for each in found.estimates:
        assert each.value == pytest.approx(0.8, abs=0.06)
        assert each.lower < 0.8 < each.upper
        assert each.effective_sample_size > 200
    assert found.logged_rating == pytest.approx(0.44, abs=0.03)


def test_too_few_ratings_are_refused_with_their_worth() -> None:
    found = tally(*[(each, certain(B)) for each in explored(1000, epsilon=0.2)])
    assert not found.identifiable
    assert "200 are needed" in found.detail


def test_a_model_that_chance_never_led_to_is_refused() -> None:
    found = tally(*[(each, certain(C)) for each in explored(6000, epsilon=0.2)])
    assert found.detail.startswith("the log speaks for 0% of the decisions")
    assert found.coverage == 0.0


def test_changes_alone_must_be_covered_too() -> None:
    """Many unchanged decisions must not hide that the log is silent about what changed."""
    same = [(each, certain(each.model_id)) for each in explored(5000, epsilon=0.2)]
    found = tally(*same, *[(logged(A, 1.0), certain(B)) for _ in range(500)])
    assert found.coverage > 0.9
    assert found.detail.startswith("the log speaks for 0% of the changes")


def test_what_was_certain_speaks_for_itself() -> None:
    kept = [(logged(A, 1.0), certain(A)) for _ in range(3000)]
    found = tally(*kept, *[(each, certain(B)) for each in explored(3000, epsilon=0.5)])
    assert found.identifiable
    assert found.estimates[0].value == pytest.approx(0.9, abs=0.05)


def test_without_a_model_a_decision_is_changed_unserved_and_not_covered() -> None:
    found = tally((logged(A, 1.0), NO_MODEL), (logged(A, 1.0), certain(A)))
    assert (found.replayed, found.unserved, found.changed_share) == (2, 1, 0.5)
    assert (found.coverage, found.rated) == (0.5, 1)
    assert found.examples[0].replayed_model_id == ""


def test_examples_are_the_first_that_changed() -> None:
    pairs = [(logged(A), certain(B if i % 2 else A)) for i in range(100)]
    found = tally(*pairs)
    assert [each.decision_id for each in found.examples] == [
        each.decision_id for each, _ in pairs[1::2][:MOST_EXAMPLES]
    ]
    assert {(each.logged_model_id, each.replayed_model_id) for each in found.examples} == {(A, B)}


def test_what_cannot_be_taken_again_is_only_counted() -> None:
    found = Tally()
    found.skip()
    assert found.report({}, {}) == Replay(skipped=1, detail="none of the decisions was rated")


def price(input_usd: str, output_usd: str) -> Price:
    return Price(
        price_state=PriceState.PRICE_KNOWN,
        input_price_usd=Decimal(input_usd),
        output_price_usd=Decimal(output_usd),
    )


PRICES = {A: price("1", "2"), B: price("10", "20")}
MILLION = Tokens(1_000_000, 500_000)


def test_the_difference_is_of_both_prices_at_the_same_tokens() -> None:
    costs = CostDifference()
    for _ in range(3):
        costs.add("code", A, B, MILLION)
    costs.add("code", A, A, MILLION)
    assert costs.usd(PRICES, PRICES) == (Decimal(54), 0)
    assert costs.models() == {A, B}


def test_another_price_changes_what_unchanged_calls_cost() -> None:
    costs = CostDifference()
    costs.add("code", A, A, MILLION)
    assert costs.usd(PRICES, PRICES | {A: price("0.5", "1")}) == (Decimal(-1), 0)


def test_calls_of_unknown_size_are_like_others_of_their_task() -> None:
    costs = CostDifference()
    costs.add("code", A, A, MILLION)
    costs.add("law", A, A, Tokens(4_000_000, 2_000_000))
    costs.add("code", A, B, None)
    assert costs.usd(PRICES, PRICES) == (Decimal(18), 0)
    costs.add("poem", A, B, None)
    assert costs.usd(PRICES, PRICES) == (Decimal(18) + Decimal(45), 0)


def test_what_nobody_knows_is_left_out_and_counted() -> None:
    costs = CostDifference()
    costs.add("code", A, C, MILLION)
    costs.add("code", C, C, MILLION)
    costs.add("code", A, B, MILLION)
    assert costs.usd(PRICES, PRICES) == (Decimal(18), 1)
    sizeless = CostDifference()
    sizeless.add("code", A, B, None)
    sizeless.add("code", A, A, None)
    assert sizeless.usd(PRICES, PRICES) == (Decimal(0), 1)


names = st.sampled_from([A, B, C])


@given(
    st.lists(
        st.tuples(
            names,
            st.none() | st.floats(0, 1),
            st.none() | st.floats(0.01, 1),
            names.map(certain) | st.just(NO_MODEL),
            st.none() | st.just(Tokens(10, 5, 2)),
        ),
        max_size=30,
    )
)
def test_figures_are_within_their_bounds(
    drawn: list[tuple[str, float | None, float | None, Retaken, Tokens | None]],
) -> None:
    found = Tally()
    for model_id, rating, propensity, retaken, tokens in drawn:
        found.add(logged(model_id, rating, propensity=propensity, tokens=tokens), retaken)
    report = found.report(PRICES, PRICES)
    assert 0 <= report.changed_share <= 1
    assert 0 <= report.coverage <= 1
    assert report.coverage * len(drawn) <= len(drawn) - report.unserved + 1e-9
    assert (report.model_estimate is None) == (report.rated == 0)
    assert report.unpriced + report.unserved <= report.replayed == len(drawn)
    if all(retaken.model_id == model_id for model_id, _, _, retaken, _ in drawn):
        assert report.changed_share == report.cost_difference_usd == 0
        assert not report.examples


@settings(max_examples=30)
@given(st.floats(0.05, 1), st.integers(0, 2**32))
def test_a_policy_replayed_against_its_own_log_is_worth_what_was_rated(epsilon: float, seed: int) -> None:
    """With the very chances of the log all weights are 1."""
    found = tally(
        *[
            (each, Retaken(each.model_id, each.propensities))
            for each in explored(250, epsilon=epsilon, seed=seed)
        ]
    )
    assert found.identifiable
    assert found.changed_share == 0
    _, snips = found.estimates
    assert snips.effective_sample_size == pytest.approx(250)
    assert snips.value == pytest.approx(found.logged_rating)


def test_the_fold_of_a_decision_depends_on_its_id_alone() -> None:
    known = UUID("0190a6f0-0000-7000-8000-000000000001")
    pair = (Logged(decision_id=known, task_type="code", model_id=A, query=Query(), rating=1.0), certain(A))
    first, second = Tally(), Tally()
    first.add(*pair)
    second.add(*pair)
    assert first._trials == second._trials
