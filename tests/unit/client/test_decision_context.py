"""What goes with a report of a decision: all that a replay needs, and no text."""

from __future__ import annotations

import pytest

from imrs_client import decision_context, route_query, v1
from imrs_client.query import MOST_KEPT_VALUES, DataDemand, Query

FULL = v1.RouteRequest(
    required_capabilities=["vision", "text"],
    domains=["law"],
    allowed_models=v1.StringList(values=["p/*", "q/a b"]),
    excluded_models=["p/z"],
    roles=["b", "a"],
    min_context_length=8000,
    estimated_prompt_tokens=100,
    model_type=v1.Model.EMBEDDING,
    max_cost_tier=v1.Model.STANDARD,
    prefer_cost_tier=v1.Model.LOW,
    max_latency_ms=900,
    data_policy=v1.DataPolicy(regions=["eu", "ch"], trains_on_data=False, retains_data=False),
    conversation_id="c",
    previous_model_id="p/y",
    max_fallbacks=0,
)
TEXT = v1.RouteRequest(
    message="secret", tools_used=["secret"], attachments=[v1.Attachment(filename="secret", mime_type="a/b")]
)


def told(data: bytes) -> v1.DecisionContext:
    return v1.DecisionContext.FromString(data)


REQUESTS = {
    "nothing": v1.RouteRequest(),
    "everything": FULL,
    "no model allowed": v1.RouteRequest(allowed_models=v1.StringList()),
    "a policy that demands nothing": v1.RouteRequest(data_policy=v1.DataPolicy()),
    "no training": v1.RouteRequest(data_policy=v1.DataPolicy(trains_on_data=False)),
}


@pytest.mark.parametrize("name", REQUESTS)
def test_what_was_asked_is_told_whole(name: str) -> None:
    query = route_query.of(REQUESTS[name])
    context = told(decision_context.of(query, "gold", 7, {"p/a": 0.75, "p/b": 0.25}))
    assert route_query.of(context.request) == query
    assert (context.request.agent_class, context.request.seed) == ("gold", 7)
    assert dict(context.propensities) == {"p/a": 0.75, "p/b": 0.25}


def test_every_field_of_a_query_is_among_those() -> None:
    """A new one that is not told would be replayed as if it had not been asked."""
    query = route_query.of(FULL)
    same = {name for name in Query.__slots__ if getattr(query, name) == getattr(Query(), name)}
    assert same == {"chance"}
    assert query.data == DataDemand(regions=frozenset({"eu", "ch"}), no_training=True, no_retention=True)


def test_a_window_for_prompt_and_answer_is_told_as_one_number() -> None:
    asked = v1.RouteRequest(estimated_prompt_tokens=100, parameters=v1.Parameters(max_output_tokens=50))
    context = told(decision_context.of(route_query.of(asked), "", None, {}))
    assert context.request.estimated_prompt_tokens == 150
    assert not context.request.HasField("parameters")


def test_no_text_is_told() -> None:
    assert b"secret" not in decision_context.of(route_query.of(TEXT), "", None, {})


def test_that_nothing_was_asked_is_told_too() -> None:
    data = decision_context.of(Query(), "", None, {})
    assert data
    assert told(data).HasField("request")
    assert not told(data).request.HasField("seed")


def test_what_is_too_long_to_be_kept_is_not_told() -> None:
    long = tuple(f"p/{i}" for i in range(MOST_KEPT_VALUES + 1))
    assert decision_context.of(Query(excluded_models=long), "", None, {}) == b""
    assert decision_context.of(Query(excluded_models=long[1:]), "", None, {}) != b""
    many = {f"p/{i}": 0.01 for i in range(decision_context.MOST_PROPENSITIES + 1)}
    assert not told(decision_context.of(Query(), "", None, many)).propensities
