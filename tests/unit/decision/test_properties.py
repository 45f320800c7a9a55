"""What holds of every decision, whatever the table and the request."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from imrs_client.decide import NothingEligible, decide, explain
from imrs_client.ranked import RankedTable, Reason, RemovedBy
from tests.support.tables import easy, queries, table, tables

if TYPE_CHECKING:
    from imrs_client.query import Query

examples = settings(max_examples=60)
requests = queries() | queries().map(easy)


def eligible(ranked: RankedTable, query: Query) -> list[int]:
    """By the filters one by one."""
    return [i for i, each in enumerate(explain(ranked, query)) if each.removed_by is None]


@examples
@given(tables(), requests)
def test_masks_and_memo_let_pass_what_the_filters_let_pass_one_by_one(
    ranked: RankedTable, query: Query
) -> None:
    passing = eligible(ranked, query)
    if passing:
        assert decide(ranked, query).eligible == len(passing)
    else:
        with pytest.raises(NothingEligible) as caught:
            decide(ranked, query)
        assert sum(caught.value.removed.values()) == len(ranked.candidates)


@examples
@given(tables(), requests)
def test_what_is_chosen_and_its_fallbacks_pass_every_filter(ranked: RankedTable, query: Query) -> None:
    passing = eligible(ranked, query)
    if not passing:
        return
    choice = decide(ranked, query)
    named = [choice.selected, *choice.fallbacks]
    assert set(named) <= set(passing)
    assert len(set(named)) == len(named)
    assert len(choice.fallbacks) <= query.max_fallbacks
    assert all(ranked.candidates[i].state_removal is None for i in named)


@examples
@given(tables(), st.lists(requests, min_size=2, max_size=6))
def test_the_memo_never_changes_an_answer(ranked: RankedTable, asked: list[Query]) -> None:
    def answer(used: RankedTable, query: Query) -> object:
        try:
            return decide(used, query)
        except NothingEligible as nothing:
            return nothing.removed

    def fresh() -> RankedTable:
        return table(
            *ranked.candidates,
            policy=ranked.policy,
            default_model_id=ranked.default_model_id,
            override_model_id=ranked.override_model_id,
            preferred_model_ids=ranked.preferred_model_ids,
            fallback_model_ids=ranked.fallback_model_ids,
            degraded=ranked.degraded,
        )

    assert [answer(ranked, each) for each in asked + asked] == [answer(fresh(), each) for each in asked] * 2


@examples
@given(tables(), requests)
def test_every_reason_is_earned_in_the_order_of_reasons(ranked: RankedTable, query: Query) -> None:
    passing = eligible(ranked, query)
    if not passing:
        return
    ids = {ranked.candidates[i].model_id for i in passing}
    choice = decide(ranked, query)
    chosen = ranked.candidates[choice.selected].model_id
    if ranked.override_model_id in ids:
        assert (choice.reason, chosen) == (Reason.OVERRIDE, ranked.override_model_id)
        return
    wish = ranked.policy.session_affinity
    if not ranked.degraded and wish is not False and query.previous_model_id in ids:
        assert (choice.reason, chosen) == (Reason.AFFINITY, query.previous_model_id)
        return
    if not ranked.degraded and wish and query.conversation_id:
        assert choice.reason is Reason.AFFINITY
        return
    preferred = [each for each in ranked.preferred_model_ids if each in ids]
    if preferred:
        assert (choice.reason, chosen) == (Reason.PREFERENCE, preferred[0])
        return
    if ranked.degraded:
        assert choice.reason is Reason.DEFAULT
    if choice.reason is Reason.DEFAULT and ranked.default_model_id in ids:
        assert chosen == ranked.default_model_id


@examples
@given(tables(), requests)
def test_the_reports_name_the_first_filter_in_the_order_of_filters(ranked: RankedTable, query: Query) -> None:
    order = list(RemovedBy)
    for each, told in zip(ranked.candidates, explain(ranked, query), strict=True):
        assert (told.removed_by is None) == (told.detail == "")
        if each.state_removal is not None:
            assert told.removed_by is each.state_removal[0]
        elif each.model_type != query.model_type:
            assert told.removed_by is RemovedBy.MODEL_TYPE
        elif told.removed_by is not None:
            assert order.index(told.removed_by) > order.index(RemovedBy.MODEL_TYPE)
