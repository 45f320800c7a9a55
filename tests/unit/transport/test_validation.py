"""Requests are refused with the field that is wrong and what would be right."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

from imrs_client import v1 as pb
from imrs_server.domain.errors import InvalidRequest
from imrs_server.transport.validation import validate

if TYPE_CHECKING:
    from google.protobuf.message import Message

MESSAGE_ID = "01930000-0000-7000-8000-000000000001"


def violations(request: Message) -> dict[str, str]:
    """Field -> what would be right; empty for a good request."""
    try:
        validate(request)
    except InvalidRequest as error:
        return {each.field: each.description for each in error.violations}
    return {}


def provider(**fields: object) -> pb.CreateProviderRequest:
    known = {"provider_id": "openai", "api_base": "https://api.openai.com/v1", **fields}
    return pb.CreateProviderRequest(provider=pb.Provider(**known))  # type: ignore[arg-type]


@pytest.mark.parametrize("provider_id", ["a", "openai", "my_custom-llm2", "x" * 50])
def test_good_provider_ids(provider_id: str) -> None:
    assert violations(provider(provider_id=provider_id)) == {}


@pytest.mark.parametrize("provider_id", ["A", "../other", "a/b", "x" * 51, "-a", "a\n", "ä"])
def test_bad_provider_ids(provider_id: str) -> None:
    assert list(violations(provider(provider_id=provider_id))) == ["provider.provider_id"]


def test_what_is_required_is_named() -> None:
    assert violations(pb.CreateProviderRequest()) == {
        "provider.provider_id": "must be set",
        "provider.api_base": "must be set",
    }


@pytest.mark.parametrize(
    "model_id", ["openai/gpt-4o", "openrouter/google/gemma-2-9b-it:free", "p/with space"]
)
def test_good_model_ids(model_id: str) -> None:
    assert violations(pb.GetModelRequest(model_id=model_id)) == {}


@pytest.mark.parametrize(
    "model_id", ["gpt-4o", "openai/", "/gpt", "openai/a\0b", "openai/a\nb", "openai/" + "x" * 249, "../x/y"]
)
def test_bad_model_ids(model_id: str) -> None:
    assert list(violations(pb.GetModelRequest(model_id=model_id))) == ["model_id"]


@pytest.mark.parametrize("rating", [float("nan"), float("inf"), -0.1, 1.5])
def test_ratings_beyond_their_range(rating: float) -> None:
    request = pb.SubmitFeedbackRequest(message_id=MESSAGE_ID, rating=rating)
    assert violations(request) == {"rating": "must be between 0 and 1"}


@pytest.mark.parametrize("rating", [0.0, 0.5, 1.0])
def test_ratings_within_their_range(rating: float) -> None:
    assert violations(pb.SubmitFeedbackRequest(message_id=MESSAGE_ID, rating=rating)) == {}


@pytest.mark.parametrize("price", ["1e9999", "NaN", "-1", "0.1234567891", "many", "1000000000"])
def test_bad_prices(price: str) -> None:
    model = pb.Model(provider_id="openai", external_id="x", input_price_usd=price)
    assert list(violations(pb.CreateModelRequest(model=model))) == ["model.input_price_usd"]


def test_what_is_deleted_is_deleted_by_its_method() -> None:
    assert "ACTIVE or DISABLED" in violations(provider(state=pb.Provider.DELETED))["provider.state"]
    agent = pb.UpdateAgentRequest(agent=pb.Agent(agent_id="a", state=pb.Agent.DELETED))
    assert list(violations(agent)) == ["agent.state"]
    assert violations(pb.ListAgentsRequest(state=pb.Agent.DELETED)) == {}


def test_an_enum_value_that_does_not_exist() -> None:
    request = pb.RouteRequest(model_type=77)  # type: ignore[arg-type]
    assert "one of TYPE_UNSPECIFIED, CHAT" in violations(request)["model_type"]


def test_items_of_lists_are_named_by_their_place() -> None:
    request = pb.RouteRequest(required_capabilities=["vision", "No Such"])
    assert "item 1" in violations(request)["required_capabilities"]


def test_nested_structs_are_bounded() -> None:
    deep: object = 1
    for _ in range(20):
        deep = {"a": deep}
    agent = pb.Agent(agent_id="a")
    agent.metadata.update({"deep": deep})  # type: ignore[dict-item]
    assert "deep" in violations(pb.CreateAgentRequest(agent=agent))["agent.metadata"]


def test_a_struct_with_nul_or_infinity_is_refused() -> None:
    for value in ("a\0b", float("inf"), float("nan")):
        agent = pb.Agent(agent_id="a")
        agent.metadata.update({"list": [value]})
        assert "agent.metadata" in violations(pb.CreateAgentRequest(agent=agent))


def test_what_the_server_sets_may_be_sent_back() -> None:
    sent = provider(api_key_vault_path="anything at all", model_count=-3)
    assert violations(sent) == {}


def test_a_request_for_a_decision_may_be_empty() -> None:
    assert violations(pb.RouteRequest()) == {}


def test_page_sizes_and_orders() -> None:
    assert violations(pb.ListProvidersRequest(page_size=1001)) == {"page_size": "must be between 0 and 1000"}
    assert list(violations(pb.ListProvidersRequest(order_by="name; drop table"))) == ["order_by"]


def test_batches_are_checked_item_by_item_elsewhere() -> None:
    bad = pb.RouteRequest(tenant_id="no uuid")
    assert violations(pb.BatchRouteRequest(requests=[bad])) == {}
    assert violations(pb.BatchRouteRequest(requests=[bad] * 1001)) == {
        "requests": "must have at most 1000 items"
    }


def test_timestamps_out_of_range_are_refused() -> None:
    request = pb.SubmitFeedbackRequest(message_id=MESSAGE_ID, rating=1)
    request.event_time.seconds = int(time.time()) * 10**6
    assert list(violations(request)) == ["event_time"]
