"""Tenants: what another one has does not exist, and nobody speaks for another."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from uuid import uuid4

import pytest

from imrs_client.v1 import (
    Agent,
    CreateAgentRequest,
    Defaults,
    DeleteAgentRequest,
    DeleteAgentRuleRequest,
    EnableAgentModelsRequest,
    GetAgentRequest,
    GetDecisionRequest,
    GetDefaultsRequest,
    ListAgentsRequest,
    ListFeedbackRequest,
    Message,
    RecordMessageRequest,
    RevokeFeedbackRequest,
    UpdateAgentRequest,
    UpdateDefaultsRequest,
)
from tests.support.refusals import (
    MISSING,
    World,
    admin,
    rate,
    record,
    refused,
    route,
)

if TYPE_CHECKING:
    from collections.abc import Callable

FOREIGN: list[tuple[str, Callable[[World, str], Any], str, str, str]] = [
    (
        "Route",
        lambda world, which: route("tenant", agent_id=which)(world),
        "theirs",
        "nobody",
        "AGENT_NOT_FOUND",
    ),
    (
        "GetAgent",
        lambda world, which: world.tenant.admin.GetAgent(GetAgentRequest(agent_id=which)),
        "theirs",
        "nobody",
        "AGENT_NOT_FOUND",
    ),
    (
        "UpdateAgent",
        lambda world, which: world.tenant.admin.UpdateAgent(UpdateAgentRequest(agent=Agent(agent_id=which))),
        "theirs",
        "nobody",
        "AGENT_NOT_FOUND",
    ),
    (
        "DeleteAgent",
        lambda world, which: world.tenant.admin.DeleteAgent(DeleteAgentRequest(agent_id=which)),
        "theirs",
        "nobody",
        "AGENT_NOT_FOUND",
    ),
    (
        "EnableAgentModels",
        lambda world, which: world.tenant.admin.EnableAgentModels(
            EnableAgentModelsRequest(agent_id=which, model_ids=["p/m2"])
        ),
        "theirs",
        "nobody",
        "AGENT_NOT_FOUND",
    ),
    (
        "RecordMessage",
        lambda world, which: record(agent_id=which)(world),
        "theirs",
        "nobody",
        "AGENT_NOT_FOUND",
    ),
    (
        "RecordMessage by decision",
        lambda world, which: record(agent_id="", model_id="", decision_id=which)(world),
        "foreign_decision_id",
        MISSING,
        "DECISION_NOT_FOUND",
    ),
    (
        "SubmitFeedback",
        lambda world, which: rate("user", message_id=which, rating=1)(world),
        "foreign_message_id",
        MISSING,
        "MESSAGE_NOT_FOUND",
    ),
    (
        "RevokeFeedback",
        lambda world, which: world.tenant.feedback.RevokeFeedback(RevokeFeedbackRequest(feedback_id=which)),
        "foreign_feedback_id",
        MISSING,
        "FEEDBACK_NOT_FOUND",
    ),
    (
        "GetDecision",
        lambda world, which: world.tenant.route.GetDecision(GetDecisionRequest(decision_id=which)),
        "foreign_decision_id",
        MISSING,
        "DECISION_NOT_FOUND",
    ),
    (
        "DeleteAgentRule",
        lambda world, which: world.tenant.admin.DeleteAgentRule(
            DeleteAgentRuleRequest(agent_id="coder", rule_id=which)
        ),
        "foreign_rule_id",
        MISSING,
        "RULE_NOT_FOUND",
    ),
]


@pytest.mark.parametrize(
    ("call", "theirs", "missing", "reason"), [each[1:] for each in FOREIGN], ids=[each[0] for each in FOREIGN]
)
def test_what_is_another_tenants_is_as_if_it_did_not_exist(
    world: World, call: Callable[[World, str], Any], theirs: str, missing: str, reason: str
) -> None:
    foreign_id = getattr(world, theirs, theirs)
    foreign = refused(world, lambda world: call(world, foreign_id))
    absent = refused(world, lambda world: call(world, missing))
    assert (absent.code.name, absent.reason) == ("NOT_FOUND", reason)
    assert (foreign.code, foreign.reason) == (absent.code, absent.reason)
    assert foreign.message.replace(foreign_id, "X") == absent.message.replace(missing, "X")
    assert {name: value.replace(foreign_id, "X") for name, value in foreign.metadata.items()} == {
        name: value.replace(missing, "X") for name, value in absent.metadata.items()
    }


@pytest.mark.parametrize(
    "call",
    [
        lambda world, other: world.tenant.admin.GetAgent(
            GetAgentRequest(tenant_id=other, agent_id="theirs")
        ),
        lambda world, other: world.tenant.admin.CreateAgent(
            CreateAgentRequest(tenant_id=other, agent=Agent(agent_id="new"))
        ),
        lambda world, other: world.tenant.admin.ListAgents(ListAgentsRequest(tenant_id=other)),
        lambda world, other: route("tenant", tenant_id=other, agent_id="theirs")(world),
        lambda world, other: route("coder", tenant_id=other)(world),
        lambda world, other: world.tenant.feedback.RecordMessage(
            RecordMessageRequest(tenant_id=other, message=Message(agent_id="theirs", model_id="p/m1"))
        ),
        lambda world, other: rate("user", tenant_id=other, rating=1)(world),
        lambda world, other: world.user.feedback.ListFeedback(ListFeedbackRequest(tenant_id=other)),
    ],
    ids=["GetAgent", "CreateAgent", "ListAgents", "Route", "Route of an agent", "RecordMessage",
         "SubmitFeedback", "ListFeedback"],
)  # fmt: skip
def test_nobody_but_a_platform_admin_names_another_tenant(
    world: World, call: Callable[[World, str], Any]
) -> None:
    error = refused(world, lambda world: call(world, str(uuid4())))
    assert (error.code.name, error.reason) == ("PERMISSION_DENIED", "TENANT_MISMATCH")


def test_global_defaults_belong_to_no_tenant_whichever_is_named(world: World) -> None:
    tenant_id = str(world.service.tenant_id)
    sent = Defaults(scope=Defaults.GLOBAL, default_model_id="p/m2")
    written = world.platform.admin.UpdateDefaults(UpdateDefaultsRequest(tenant_id=tenant_id, defaults=sent))
    assert (written.scope, written.default_model_id) == (Defaults.GLOBAL, "p/m2")
    for named in ("", tenant_id):
        read = GetDefaultsRequest(tenant_id=named, scope=Defaults.GLOBAL)
        assert world.platform.admin.GetDefaults(read) == written
    own = world.tenant.admin.GetDefaults(GetDefaultsRequest(scope=Defaults.TENANT))
    assert own.default_model_id == ""
    for call in (
        admin("tenant", "GetDefaults", GetDefaultsRequest(scope=Defaults.GLOBAL)),
        admin("tenant", "UpdateDefaults", UpdateDefaultsRequest(defaults=sent)),
    ):
        error = refused(world, call)
        assert (error.code.name, error.reason) == ("PERMISSION_DENIED", "ROLE_REQUIRED")
