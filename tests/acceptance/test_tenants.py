"""What belongs to another tenant does not exist, word for word; and nothing of it comes through."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from uuid import uuid4

import pytest

from imrs_client import v1 as pb
from imrs_client.ids import new_id
from imrs_server.domain.principal import Role
from tests.support.calls import METHODS, Caller
from tests.support.everything import CATALOGUE, EMBEDS, MODELS, Names, bearer, furnish, request_of, settle
from tests.support.provider import FakeProvider

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.service import Service

MARK = "Sentinel"

NOBODY = Names(
    agent_id="nobody",
    rule_id=str(new_id()),
    decision_id=str(new_id()),
    message_id=str(uuid4()),
    feedback_id=str(new_id()),
    token_id=str(new_id()),
    budget_id=str(new_id()),
)


class World:
    """A tenant, and one whose data are full of the mark."""

    def __init__(self, service: Service) -> None:
        self.service = service
        self.platform = service.platform
        self.here = settle(service, service.tenant_id)
        self.theirs = settle(service, new_id(), agent_id="theirs", mark=MARK)
        rules = pb.TaskRules(words={MARK.lower(): pb.StringList(values=[MARK])}, tools={MARK: MARK.lower()})
        self.theirs.admin.admin.UpdateDefaults(
            pb.UpdateDefaultsRequest(
                defaults=pb.Defaults(
                    scope=pb.Defaults.Scope.TENANT,
                    task_rules=rules,
                    parameters=pb.Parameters(stop=pb.StringList(values=[MARK])),
                )
            )
        )
        self.platform.admin.SetTenant(
            pb.SetTenantRequest(tenant=pb.Tenant(tenant_id=str(self.theirs.tenant_id), display_name=MARK))
        )
        self.callers = {
            Role.PLATFORM_ADMIN: Caller(service, Role.PLATFORM_ADMIN),
            Role.TENANT_ADMIN: Caller(service, Role.TENANT_ADMIN),
            Role.AGENT: Caller(service, Role.AGENT, agent_id=self.here.agent_id),
            Role.USER: Caller(service, Role.USER),
        }
        service.settled(self.theirs.admin)


@pytest.fixture(scope="module")
def world(shared_service: Service) -> Iterator[World]:
    with FakeProvider(CATALOGUE) as provider:
        furnish(shared_service, provider)
        yield World(shared_service)


def naming(names: Names) -> dict[str, Any]:
    """Requests that name a thing of a tenant, and nothing that differs from one call to the next."""
    decided = pb.Message(decision_id=names.decision_id)
    requests = {name: request_of(name, names, _no_client()) for name in METHODS if name not in _MAKING}
    ids = [
        names.agent_id,
        names.rule_id,
        names.decision_id,
        names.message_id,
        names.feedback_id,
        names.token_id,
        names.budget_id,
    ]
    found = {
        name: request
        for name, request in requests.items()
        if any(each.encode() in request.SerializeToString() for each in ids)
    }
    lists = {
        "RouteService/ListDecisions": pb.ListDecisionsRequest(agent_id=names.agent_id),
        "FeedbackService/ListFeedback": pb.ListFeedbackRequest(message_id=names.message_id),
        "FeedbackService/ListPerformance": pb.ListPerformanceRequest(agent_id=names.agent_id),
        "AdminService/ListAuditEvents": pb.ListAuditEventsRequest(target_id=names.agent_id),
        "AdminService/ListAgents": pb.ListAgentsRequest(search=names.agent_id),
        "AdminService/ListBudgets": pb.ListBudgetsRequest(agent_id=names.agent_id),
        "FeedbackService/RecordMessage": pb.RecordMessageRequest(message=decided),
    }
    return found | lists


# These make something first, or make up names.
_MAKING = frozenset(
    {
        "AdminService/DeleteProvider", "AdminService/UndeleteProvider", "AdminService/DeletePreference",
        "AdminService/CloneAgent", "CatalogService/DeleteModel", "CatalogService/UndeleteModel",
        "CatalogService/BulkUpdateModels", "AdminService/RevertSync",
        "AdminService/DeleteEndpoint", "AdminService/LoadEndpoint", "AdminService/UnloadEndpoint",
    }
)  # fmt: skip


def _no_client() -> Any:
    """Whoever uses it fails."""
    return None


# What does not match a filter is not in the list; and a token that is not there needs no revoking.
_NO_ERROR = frozenset(
    {
        "RouteService/ListDecisions", "FeedbackService/ListFeedback", "FeedbackService/ListPerformance",
        "AdminService/ListAuditEvents", "AdminService/ListAgents", "AdminService/RevokeToken",
        "AdminService/ListBudgets",
    }
)  # fmt: skip

NAMING = sorted(naming(NOBODY))


@pytest.mark.parametrize("role", [Role.PLATFORM_ADMIN, Role.TENANT_ADMIN, Role.AGENT, Role.USER])
@pytest.mark.parametrize("name", NAMING)
def test_what_is_anothers_looks_like_what_is_not_there(world: World, name: str, role: Role) -> None:
    """Code, message, details, metadata and answer are equal to the byte, but for the name that was asked."""
    outcomes = []
    for names in (world.theirs, NOBODY):
        ids = Names(**{each: getattr(names, each) for each in NOBODY.__dataclass_fields__})
        request = naming(ids)[name]
        part = bearer(request)
        if role is Role.PLATFORM_ADMIN and part is not None:
            part.tenant_id = str(world.here.tenant_id)
        outcome = world.callers[role](name, request)
        assert outcome.reason != "OK" or name in _NO_ERROR
        seen = bytes(outcome)
        for each in NOBODY.__dataclass_fields__:
            seen = seen.replace(getattr(ids, each).encode(), each.encode())
        outcomes.append(seen)
    assert outcomes[0] == outcomes[1]


def test_a_clone_of_anothers_agent_is_refused_like_one_of_nobody(world: World) -> None:
    outcomes = [
        bytes(
            world.callers[Role.TENANT_ADMIN](
                "AdminService/CloneAgent", pb.CloneAgentRequest(agent_id=agent_id, new_agent_id="copy")
            )
        ).replace(agent_id.encode(), b"agent")
        for agent_id in (world.theirs.agent_id, NOBODY.agent_id)
    ]
    assert outcomes[0] == outcomes[1]
    assert outcomes[0].startswith(b"NOT_FOUND")


def test_ids_of_agents_are_each_tenants_own(world: World) -> None:
    request = pb.CreateAgentRequest(agent=pb.Agent(agent_id=world.theirs.agent_id))
    here = settle(world.service, new_id(), agent_id="first")
    assert here.admin.admin.CreateAgent(request).tenant_id == str(here.tenant_id)


READING = sorted(
    name
    for name in METHODS
    if name.partition("/")[2].startswith(
        ("List", "Get", "Export", "Route", "BatchRoute", "StreamRoutes", "Explain")
    )
)

# Where the other tenant itself does find its mark; the others say nothing of what a tenant wrote.
_SHOWN_TO_THEMSELVES = frozenset(
    {
        "AdminService/GetAgent", "AdminService/ListAgents", "AdminService/ListAgentModels",
        "AdminService/ListAgentRules", "AdminService/ListTokens", "AdminService/GetDefaults",
        "AdminService/ListAuditEvents", "AdminService/ExportConfig",
        "RouteService/Route", "RouteService/BatchRoute", "RouteService/StreamRoutes",
        "RouteService/ExplainRoute", "RouteService/GetDecision", "RouteService/ListDecisions",
        "FeedbackService/ListFeedback",
    }
)  # fmt: skip


def test_the_mark_is_there_to_be_found(world: World) -> None:
    admin = Caller(world.service, Role.TENANT_ADMIN, tenant_id=world.theirs.tenant_id)

    for name in _SHOWN_TO_THEMSELVES:
        outcome = admin(name, request_of(name, world.theirs, world.platform))
        assert MARK.lower().encode() in bytes(outcome).lower(), name


@pytest.mark.parametrize("role", [Role.TENANT_ADMIN, Role.AGENT, Role.USER])
@pytest.mark.parametrize("name", READING)
def test_nothing_of_another_tenant_comes_through(world: World, name: str, role: Role) -> None:
    outcome = world.callers[role](name, request_of(name, world.here, world.platform))
    assert MARK.lower().encode() not in bytes(outcome).lower()


def test_the_words_of_another_tenant_detect_nothing(world: World) -> None:
    asked = pb.DetectTaskRequest(message=f"please {MARK}", tools_used=[MARK])
    assert world.theirs.admin.route.DetectTask(asked).task_type == MARK.lower()
    assert world.here.admin.route.DetectTask(asked).task_type == "general"
    assert len((*MODELS, EMBEDS)) == world.here.admin.catalog.ListModels(pb.ListModelsRequest()).total_size
