"""Agents and what they may use, there and back over the wire form."""

from __future__ import annotations

from dataclasses import fields
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest

from imrs_client import v1 as pb
from imrs_client.ranked import RemovedBy
from imrs_server.domain.agent import Agent, AgentModel, AgentRule, Effect, ModelOverride, Source
from imrs_server.domain.errors import InvalidRequest
from imrs_server.domain.model import CostTier, ModelFilter, ModelType
from imrs_server.domain.parameters import Parameters
from imrs_server.domain.provider import State
from imrs_server.domain.routing import CostPreference, Exploration, RoutingPolicy, Scoring
from imrs_server.transport.convert import agent_models, agents, model_filters, routing

TIME = datetime(2026, 11, 21, 10, 0, 0, 123456, tzinfo=UTC)

POLICY = RoutingPolicy(
    priority_weight=0.0,
    experience_weight=0.5,
    scoring=Scoring.SRS,
    exploration=Exploration.EPSILON,
    exploration_rate=0.01,
    cost_preference=CostPreference.NONE,
    similarity_margin=0.0,
    half_life=timedelta(days=2, microseconds=5),
    max_cost_tier=CostTier.FREE,
    session_affinity=False,
    require_credentials=True,
    max_latency_ms=100,
    max_error_rate=0.0,
    signal_ratings={"COPY": 0.9},
    feedback_weights={"IMPLICIT": 0.1},
    shadow=RoutingPolicy(exploration=Exploration.OFF),
)
SETTINGS: dict[str, Any] = {
    "display_name": "Support",
    "agent_class": "support",
    "use_case": "answers",
    "tags": ("a", "b"),
    "labels": {"team": "x"},
    "metadata": {"deep": {"list": [1, 2.5, None, "x", True]}},
    "capsule": {"body": {"allowed_models": {"editor": ["*"]}}},
    "default_model_id": "p/m",
    "parameters": Parameters(temperature=0.0, stop=(), extra={"k": None}),
    "routing": POLICY,
    "fallback_model_ids": (),
    "state": State.DISABLED,
}
AGENT = Agent(
    agent_id="bot",
    tenant_id=UUID(int=7),
    override=ModelOverride(model_id="p/m", set_by="ann", set_time=TIME),
    create_time=TIME,
    update_time=TIME,
    delete_time=TIME,
    version=26,
    **SETTINGS,
)


def names(message: type) -> set[str]:
    return {field.name for field in message.DESCRIPTOR.fields}  # type: ignore[attr-defined]


def test_every_setting_of_an_agent_survives_the_way_there_and_back() -> None:
    message = agents.to_proto(AGENT)
    assert {field.name for field, _ in message.ListFields()} == names(pb.Agent)
    assert agents.fields(message) == SETTINGS
    assert agents.fields(message, ["*"]) == SETTINGS
    assert (message.etag, message.override.set_by) == ("1a", "ann")
    assert {field.name for field in fields(Agent)} ^ names(pb.Agent) == {"version", "etag"}


def test_a_mask_alone_says_which_fields_are_cleared() -> None:
    message = pb.Agent(agent_id="bot")
    assert agents.fields(message) == {}
    assert agents.fields(message, ["fallback_model_ids", "capsule", "tags"]) == {
        "fallback_model_ids": None,
        "capsule": None,
        "tags": (),
    }
    for path in ("override", "tenant_id", "etag", "nonsense"):
        with pytest.raises(InvalidRequest, match=path):
            agents.fields(message, ["display_name", path])


def test_a_policy_survives_and_says_only_what_was_said() -> None:
    assert routing.policy(routing.to_proto(POLICY)) == POLICY
    assert routing.policy(pb.RoutingPolicy()) == RoutingPolicy()
    assert routing.to_proto(RoutingPolicy()) == pb.RoutingPolicy()
    assert {field.name for field in fields(RoutingPolicy)} == names(pb.RoutingPolicy)


def test_settings_of_an_agent_model_survive_and_zero_is_not_unset() -> None:
    settings: dict[str, Any] = {
        "enabled": True,
        "priority_override": 0,
        "parameters": Parameters(top_p=0.5),
        "context_length": 0,
        "input_price_usd": Decimal(0),
        "output_price_usd": Decimal("1.5"),
        "fallback_model_ids": ("p/n",),
        "allowed_roles": ("editor",),
        "metadata": {"k": 1},
    }
    model = AgentModel(
        agent_id="bot",
        model_id="p/m",
        source=Source.RULE,
        effect=Effect(
            eligible=False,
            removed_by=RemovedBy.COOLDOWN,
            detail="3 s",
            value_sources={"parameters.top_p": "MODEL"},
        ),
        **settings,
    )
    message = agent_models.to_proto(model)
    assert agent_models.fields(message, ["*"]) == settings
    assert message.source == pb.AgentModel.RULE
    assert (message.removed_by, message.detail) == (pb.CandidateReport.COOLDOWN, "3 s")
    assert message.value_sources["parameters.top_p"] == "MODEL"
    unset = agent_models.to_proto(AgentModel(agent_id="bot", model_id="p/m", enabled=False))
    assert not unset.HasField("input_price_usd")
    assert unset.source == pb.AgentModel.SOURCE_UNSPECIFIED


def test_filters_that_say_the_same_are_equal() -> None:
    wanted = ModelFilter(
        provider_id="p",
        cost_tier=CostTier.FREE,
        capabilities=("code", "text"),
        domains=("law",),
        model_type=ModelType.CHAT,
        available=False,
        search="x",
        min_context_length=1000,
        max_input_price_usd=Decimal("1.5"),
    )
    message = model_filters.to_proto(wanted)
    message.capabilities[:] = ["text", "code", "text"]
    message.max_input_price_usd = "1.500"
    assert model_filters.model_filter(pb.AgentRule(filter=message)) == wanted
    assert model_filters.model_filter(pb.EnableAgentModelsRequest()) is None
    assert model_filters.model_filter(pb.EnableAgentModelsRequest(filter=pb.ModelFilter())) == ModelFilter()
    assert {field.name for field in fields(ModelFilter)} == names(pb.ModelFilter)


def test_a_rule_that_is_not_stored_has_no_id() -> None:
    rule = AgentRule(agent_id="bot", filter=ModelFilter(), priority_override=0)
    message = agent_models.to_rule(rule)
    assert (message.rule_id, message.HasField("priority_override")) == ("", True)
