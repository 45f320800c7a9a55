"""What a decision comes to, case by case."""

from __future__ import annotations

from dataclasses import fields
from typing import TYPE_CHECKING, Any

import pytest

from imrs_client.decide import NothingEligible, decide, explain
from imrs_client.query import DataDemand, Query
from imrs_client.ranked import Policy, Reason, RemovedBy
from tests.support.tables import candidate, table

if TYPE_CHECKING:
    from imrs_client.ranked import RankedTable

ASK = Query()
NO_AFFINITY = Policy(session_affinity=False)


def chosen(ranked: RankedTable, query: Query = ASK) -> tuple[str, Reason]:
    choice = decide(ranked, query)
    return ranked.candidates[choice.selected].model_id, choice.reason


def fallbacks(ranked: RankedTable, query: Query = ASK) -> list[str]:
    return [ranked.candidates[i].model_id for i in decide(ranked, query).fallbacks]


def test_the_reasons_come_in_their_order() -> None:
    models = [candidate(f"p/{name}", score) for name, score in zip("abcd", (0.9, 0.8, 0.7, 0.6), strict=True)]
    query = Query(previous_model_id="p/c")
    full = table(*models, override_model_id="p/d", preferred_model_ids=("p/b",))
    assert chosen(full, query) == ("p/d", Reason.OVERRIDE)
    unpinned = table(*models, preferred_model_ids=("p/b",))
    assert chosen(unpinned, query) == ("p/c", Reason.AFFINITY)
    assert chosen(unpinned) == ("p/b", Reason.PREFERENCE)
    assert chosen(table(*models)) == ("p/a", Reason.SCORE)


def test_a_pin_or_preference_that_fails_a_filter_is_passed_over() -> None:
    out = (RemovedBy.UNAVAILABLE, "retired")
    ranked = table(
        candidate("p/a"),
        candidate("p/gone", state_removal=out),
        candidate("p/b", 0.4),
        override_model_id="p/gone",
        preferred_model_ids=("p/gone", "p/unknown", "p/b"),
    )
    assert chosen(ranked, Query(previous_model_id="p/gone")) == ("p/b", Reason.PREFERENCE)


def test_the_default_answers_where_nothing_tells_candidates_apart() -> None:
    same = [candidate(f"p/{name}", 0.5, rating_count=0, task_rating_count=0) for name in "abc"]
    assert chosen(table(*same, default_model_id="p/c")) == ("p/c", Reason.DEFAULT)
    assert chosen(table(*same)) == ("p/a", Reason.SCORE)
    assert chosen(table(*same, default_model_id="p/c"), Query(excluded_models=("p/c",))) == (
        "p/a",
        Reason.SCORE,
    )
    rated = [*same[:2], candidate("p/c", 0.4)]
    assert chosen(table(*rated, default_model_id="p/c")) == ("p/a", Reason.SCORE)
    weighed = [candidate("p/x", 0.6, rating_count=0, priority=60), *same]
    assert chosen(table(*weighed, default_model_id="p/c")) == ("p/x", Reason.SCORE)


def test_a_degraded_table_answers_its_default_else_its_first() -> None:
    models = [candidate("p/a", 0.9), candidate("p/b", 0.1)]
    assert chosen(table(*models, degraded=True, default_model_id="p/b")) == ("p/b", Reason.DEFAULT)
    assert chosen(table(*models, degraded=True), Query(previous_model_id="p/b")) == ("p/a", Reason.DEFAULT)


def test_the_cheapest_of_similar_models_wins_once_both_are_well_rated() -> None:
    dear = candidate("p/dear", 0.90, cost_usd=10.0)
    similar = candidate("p/similar", 0.885, cost_usd=1.0)
    worse = candidate("p/worse", 0.80, cost_usd=0.1)
    assert chosen(table(dear, similar, worse))[0] == "p/similar"
    assert chosen(table(dear, similar, worse, policy=Policy(cheaper_when_similar=False)))[0] == "p/dear"
    assert chosen(table(dear, similar, worse, policy=Policy(similarity_margin=0.2)))[0] == "p/worse"
    few = candidate("p/similar", 0.885, cost_usd=1.0, task_rating_count=29.0)
    assert chosen(table(dear, few, worse))[0] == "p/dear"
    unpriced = candidate("p/dear", 0.90)
    assert chosen(table(unpriced, similar, worse))[0] == "p/dear"


def test_the_preferred_tier_goes_first_within_the_margin_only() -> None:
    ranked = table(
        candidate("p/a", 0.90, cost_tier="PREMIUM"),
        candidate("p/b", 0.89, cost_tier="LOW"),
        candidate("p/c", 0.5, cost_tier="FREE"),
    )
    assert chosen(ranked, Query(prefer_cost_tier="LOW"))[0] == "p/b"
    assert chosen(ranked, Query(prefer_cost_tier="FREE"))[0] == "p/a"


def test_a_conversation_keeps_its_model_and_moves_only_when_that_leaves() -> None:
    models = [candidate(f"p/{i}", 0.9) for i in range(6)]
    ranked = table(*models, policy=Policy(session_affinity=True))
    talks = [f"conversation {i}" for i in range(60)]
    before = {talk: chosen(ranked, Query(conversation_id=talk)) for talk in talks}
    assert len({model for model, _ in before.values()}) == 6
    assert {reason for _, reason in before.values()} == {Reason.AFFINITY}
    without = {talk: chosen(ranked, Query(conversation_id=talk, excluded_models=("p/3",))) for talk in talks}
    assert all(without[talk] == before[talk] for talk in talks if before[talk][0] != "p/3")
    off = table(*models, policy=NO_AFFINITY)
    assert chosen(off, Query(conversation_id="c", previous_model_id="p/3")) == ("p/0", Reason.SCORE)


def test_fallbacks_are_ranked_where_unset_named_where_set_and_none_where_empty() -> None:
    models = [candidate(f"p/{name}", score) for name, score in zip("abcde", (9, 8, 7, 6, 5), strict=True)]
    assert fallbacks(table(*models)) == ["p/b", "p/c", "p/d"]
    assert fallbacks(table(*models), Query(max_fallbacks=1)) == ["p/b"]
    assert fallbacks(table(*models), Query(max_fallbacks=0)) == []
    assert fallbacks(table(*models, fallback_model_ids=("p/e", "p/a", "p/none", "p/c"))) == ["p/e", "p/c"]
    assert fallbacks(table(*models, fallback_model_ids=())) == []
    own = [candidate("p/a", 9, fallback_model_ids=("p/d",)), *models[1:]]
    assert fallbacks(table(*own, fallback_model_ids=())) == ["p/d"]
    assert fallbacks(table(*models, preferred_model_ids=("p/d", "p/e"))) == ["p/e", "p/a", "p/b"]


def test_what_removed_how_many_is_told() -> None:
    ranked = table(
        candidate("p/off", state_removal=(RemovedBy.DISABLED, "not enabled for the agent")),
        candidate("p/embed", model_type="EMBEDDING"),
        candidate("p/blind"),
        candidate("p/dear", capabilities=frozenset({"vision"}), cost_tier="PREMIUM"),
    )
    with pytest.raises(NothingEligible) as caught:
        decide(ranked, Query(capabilities=("vision",), max_cost_tier="LOW"))
    assert caught.value.removed == {
        RemovedBy.DISABLED: 1,
        RemovedBy.MODEL_TYPE: 1,
        RemovedBy.CAPABILITY: 1,
        RemovedBy.COST_TIER: 1,
    }


def test_no_models_at_all_is_nothing_eligible() -> None:
    with pytest.raises(NothingEligible, match="no models"):
        decide(table(), ASK)


@pytest.mark.parametrize(
    ("demand", "passing"),
    [
        (DataDemand(regions=frozenset({"eu"})), {"p/eu"}),
        (DataDemand(regions=frozenset({"eu", "us"})), {"p/eu", "p/both"}),
        (DataDemand(no_training=True), {"p/eu"}),
        (DataDemand(no_retention=True), set()),
    ],
)
def test_a_demand_on_data_never_passes_on_unknown(demand: DataDemand, passing: set[str]) -> None:
    ranked = table(
        candidate("p/eu", regions=frozenset({"eu"}), trains_on_data=False, retains_data=True),
        candidate("p/both", regions=frozenset({"eu", "us"}), trains_on_data=True),
        candidate("p/silent"),
    )
    told = explain(ranked, Query(data=demand))
    named = [each.model_id for each in ranked.candidates]
    assert {model for model, each in zip(named, told, strict=True) if each.removed_by is None} == passing
    assert {each.removed_by for each in told} <= {None, RemovedBy.DATA_POLICY}


def test_roles_open_what_is_limited_and_none_given_reaches_only_what_is_not() -> None:
    ranked = table(
        candidate("p/capsule", capsule_roles=frozenset({"admin"})),
        candidate("p/role", allowed_roles=frozenset({"staff"})),
        candidate("p/nobody", capsule_roles=frozenset()),
        candidate("p/all"),
    )

    def passing(*roles: str) -> set[str]:
        told = explain(ranked, Query(roles=frozenset(roles)))
        found = {
            each.model_id
            for each, report in zip(ranked.candidates, told, strict=True)
            if report.removed_by is None
        }
        assert decide(ranked, Query(roles=frozenset(roles))).eligible == len(found)
        return found

    assert passing() == {"p/all"}
    assert passing("guest") == {"p/all"}
    assert passing("admin") == {"p/capsule", "p/all"}
    assert passing("admin", "staff", "guest") == {"p/capsule", "p/role", "p/all"}


def passing(ranked: RankedTable, query: Query) -> set[str]:
    """Who passes, by the masks and by the filters one by one."""
    reports = zip(ranked.candidates, explain(ranked, query), strict=True)
    found = {each.external_id for each, told in reports if told.removed_by is None}
    try:
        choice = decide(ranked, Query(**{**_fields(query), "max_fallbacks": 20}))
    except NothingEligible:
        assert not found
        return found
    assert {ranked.candidates[i].external_id for i in (choice.selected, *choice.fallbacks)} == found
    return found


def _fields(query: Query) -> dict[str, Any]:
    return {each.name: getattr(query, each.name) for each in fields(query)}


def test_the_window_must_hold_the_tokens_and_an_unknown_one_is_refused_only_on_demand() -> None:
    windows = {"none": None, "zero": 0, "small": 4000, "large": 8000}
    models = [candidate(f"p/{name}", context_length=size) for name, size in windows.items()]
    assert passing(table(*models), Query(estimated_prompt_tokens=4000)) == {"none", "small", "large"}
    ranked = table(*models)
    assert passing(ranked, Query()) == {"none", "zero", "small", "large"}
    assert passing(ranked, Query(estimated_prompt_tokens=1)) == {"none", "small", "large"}
    assert passing(ranked, Query(estimated_prompt_tokens=4000)) == {"none", "small", "large"}
    assert passing(ranked, Query(estimated_prompt_tokens=4001)) == {"none", "large"}
    assert passing(ranked, Query(estimated_prompt_tokens=8001)) == {"none"}
    assert passing(ranked, Query(min_context_length=1)) == {"small", "large"}
    assert passing(ranked, Query(min_context_length=4000)) == {"small", "large"}
    assert passing(ranked, Query(min_context_length=100, estimated_prompt_tokens=4001)) == {"large"}
    assert passing(ranked, Query(min_context_length=8001)) == set()


def test_what_is_too_slow_or_fails_too_often_is_out_and_what_is_not_known_stays() -> None:
    models = [
        candidate("p/unknown"),
        candidate("p/fast", latency_ms=100.0, error_rate=0.1),
        candidate("p/slow", latency_ms=900.0, error_rate=0.5),
    ]
    assert passing(table(*models), Query(max_latency_ms=900)) == {"unknown", "fast", "slow"}
    assert passing(table(*models), Query(max_latency_ms=899)) == {"unknown", "fast"}
    limited = table(*models, policy=Policy(max_latency_ms=500))
    assert passing(limited, Query(max_latency_ms=5000)) == {"unknown", "fast"}
    assert passing(limited, Query(max_latency_ms=50)) == {"unknown"}
    assert passing(table(*models, policy=Policy(max_error_rate=0.1)), ASK) == {"unknown", "fast"}


def test_the_lower_of_two_limits_on_cost_holds() -> None:
    tiers = ("FREE", "LOW", "STANDARD", "PREMIUM")
    ranked = table(
        *(candidate(f"p/{tier}", cost_tier=tier) for tier in tiers), policy=Policy(max_cost_tier="STANDARD")
    )
    assert passing(ranked, ASK) == {"FREE", "LOW", "STANDARD"}
    assert passing(ranked, Query(max_cost_tier="PREMIUM")) == {"FREE", "LOW", "STANDARD"}
    assert passing(ranked, Query(max_cost_tier="FREE")) == {"FREE"}


def test_roles_that_no_candidate_names_take_no_memory() -> None:
    ranked = table(candidate("p/all"), candidate("p/role", allowed_roles=frozenset({"staff"})))
    first = decide(ranked, Query())
    assert decide(ranked, Query(roles=frozenset({"invented-1"}))) is first
    assert decide(ranked, Query(roles=frozenset({"invented-2"}))) is first
    assert decide(ranked, Query(roles=frozenset({"staff", "x"}))).eligible == 2
    assert len(ranked.choices) == 2
