"""What a request asked is kept with its decision, whole or not at all, and comes back as it was."""

from __future__ import annotations

import json
from dataclasses import replace
from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from imrs_client.ids import new_id
from imrs_client.query import MOST_KEPT_VALUES, DataDemand, Query
from imrs_client.ranked import Reason
from imrs_client.tasks import Detection
from imrs_server.domain.decision import Answer, Decision, SelectedModel, recall, record
from imrs_server.domain.model import CostTier, ModelType

ASKED = Query(
    model_type=ModelType.EMBEDDING,
    capabilities=("vision", "code"),
    domains=("law",),
    allowed_models=(),
    excluded_models=("a/*",),
    roles=frozenset({"editor", "admin"}),
    min_context_length=1,
    estimated_prompt_tokens=2,
    max_cost_tier=CostTier.LOW,
    prefer_cost_tier=CostTier.FREE,
    max_latency_ms=3.5,
    data=DataDemand(regions=frozenset({"eu"}), no_training=True),
    conversation_id="c",
    previous_model_id="p/m",
    max_fallbacks=0,
)


def decided(query: Query | None, agent_class: str = "") -> Decision:
    return Decision(
        decision_id=new_id(),
        request_id="",
        answer=Answer(
            tenant_id=UUID(int=1),
            agent_id="a",
            task=Detection(),
            selected=SelectedModel(model_id="p/m"),
            fallbacks=(),
            reason=Reason.SCORE,
            candidates_total=1,
            candidates_eligible=1,
        ),
        index_revision=1,
        stale=False,
        conversation_id=query.conversation_id if query else "",
        query=query,
        agent_class=agent_class,
    )


def through_json(made: Decision) -> Decision:
    kept = record(made)
    return recall(replace(kept, detail=json.loads(json.dumps(kept.detail))))


def test_all_that_was_asked_comes_back() -> None:
    again = through_json(decided(ASKED, "writer"))
    assert again.query == ASKED
    assert again.agent_class == "writer"
    assert again.query is not None
    assert isinstance(again.query.roles, frozenset)
    assert isinstance(again.query.capabilities, tuple)


def test_what_was_not_asked_takes_no_room() -> None:
    assert record(decided(Query())).detail == {}
    assert record(decided(Query(conversation_id="c"))).detail == {}
    assert through_json(decided(Query(conversation_id="c"))).query == Query(conversation_id="c")


def test_a_list_that_is_empty_is_not_a_list_that_is_unset() -> None:
    assert through_json(decided(Query(allowed_models=()))).query == Query(allowed_models=())


def test_a_query_with_long_lists_is_not_kept_and_says_so() -> None:
    long = Query(excluded_models=tuple(f"p/{i}" for i in range(MOST_KEPT_VALUES + 1)))
    assert record(decided(long)).detail == {"query": None}
    assert through_json(decided(long)).query is None
    assert record(through_json(decided(long))).detail == {"query": None}


def test_what_a_newer_server_kept_is_read_as_far_as_it_is_known() -> None:
    kept = record(decided(Query(min_context_length=7)))
    newer = replace(kept, detail={"query": {**kept.detail["query"], "invented_tomorrow": [1]}, "shadow": {}})
    assert recall(newer).query == Query(min_context_length=7)


def test_what_chance_could_have_led_to_is_kept_unless_it_is_nearly_everything() -> None:
    chances = {"p/m": 0.975, "p/n": 0.025}
    made = decided(Query())._replace(propensity=0.975, propensities=chances)
    assert through_json(made).propensities == chances
    many = {f"p/{i}": 1 / 101 for i in range(101)}
    wide = made._replace(propensities=many)
    assert (through_json(wide).propensity, through_json(wide).propensities) == (0.975, {})


def test_what_was_drawn_from_is_kept_where_it_is_not_the_decision_itself() -> None:
    assert through_json(decided(Query(chance="seed 7"))).query == Query(chance="seed 7")
    made = decided(Query())
    own = made._replace(query=Query(chance=str(made.decision_id)))
    assert record(own).detail == {}


names = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=5)
words = st.lists(names, max_size=4).map(tuple)


@given(
    st.builds(
        Query,
        capabilities=words,
        domains=words,
        allowed_models=st.none() | words,
        roles=st.frozensets(names, max_size=4),
        max_latency_ms=st.none() | st.floats(0, 1e9),
        data=st.none() | st.builds(DataDemand, regions=st.frozensets(names), no_retention=st.booleans()),
        previous_model_id=names,
    )
)
def test_any_query_comes_back(query: Query) -> None:
    assert through_json(decided(query)).query == query
