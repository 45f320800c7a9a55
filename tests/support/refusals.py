"""A furnished server, and calls that it must refuse without storing anything."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import grpc
import pytest

from imrs_client import ImrsClient, ImrsError
from imrs_client.ids import new_id
from imrs_client.v1 import (
    Agent,
    CreateAgentRequest,
    CreateModelRequest,
    CreateProviderRequest,
    EnableAgentModelsRequest,
    ErrorReason,
    Model,
    ModelFilter,
    Provider,
    RouteRequest,
    SubmitFeedbackRequest,
    UpdateProviderRequest,
)
from imrs_server.domain.principal import Role
from tests.support import patience
from tests.support.contents import contents, counted
from tests.support.service import Service

REASONS = frozenset(ErrorReason.keys())
API = "https://models.example.com/v1"
KEY = "sk-a-key-that-must-not-leak"
SECONDS = patience.SECONDS
LONG_AGO = datetime.now(UTC) - timedelta(hours=2)
MISSING = str(new_id(LONG_AGO))


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """A furnished server, people who call it, and what another tenant has."""

    service: Service
    dsn: str
    platform: ImrsClient
    tenant: ImrsClient
    coder: ImrsClient
    user: ImrsClient
    stranger: ImrsClient
    message_id: str
    foreign_message_id: str
    foreign_feedback_id: str
    foreign_decision_id: str
    foreign_rule_id: str

    @property
    def stored(self) -> dict[str, tuple[int, str]]:
        """What is stored, with the decisions that were still on their way, counted."""
        self.service.app.decisions.flush()
        counted(self.dsn)
        return contents(self.dsn)


Call = Callable[[World], Any]


def furnished(service: Service, dsn: str) -> World:
    elsewhere = new_id()
    platform, tenant = service.platform, service.tenant
    stranger = service.client(Role.TENANT_ADMIN, tenant_id=elsewhere)
    for provider_id, state in (("p", Provider.ACTIVE), ("off", Provider.ACTIVE)):
        provider = Provider(provider_id=provider_id, api_base=API, api_key=KEY, state=state)
        platform.admin.CreateProvider(CreateProviderRequest(provider=provider, request_id=provider_id))
        for name in ("m1", "m2"):
            model = Model(provider_id=provider_id, external_id=name)
            platform.catalog.CreateModel(CreateModelRequest(model=model))
    for admin, agent_id, model_id in (
        (tenant, "coder", "p/m1"),
        (tenant, "idle", "off/m1"),
        (stranger, "theirs", "p/m1"),
    ):
        admin.admin.CreateAgent(CreateAgentRequest(agent=Agent(agent_id=agent_id)))
        admin.admin.EnableAgentModels(EnableAgentModelsRequest(agent_id=agent_id, model_ids=[model_id]))
    platform.admin.UpdateProvider(
        UpdateProviderRequest(provider=Provider(provider_id="off", state=Provider.DISABLED))
    )
    rule = stranger.admin.EnableAgentModels(
        EnableAgentModelsRequest(agent_id="theirs", filter=ModelFilter(search="m9"), standing=True)
    ).rule
    for client in (platform, tenant, stranger):
        service.settled(client)
    own, foreign = str(new_id(LONG_AGO)), str(new_id(LONG_AGO))
    tenant.record(message_id=own, agent_id="coder", model_id="p/m1")
    stranger.record(message_id=foreign, agent_id="theirs", model_id="p/m1")
    vote = stranger.rate(foreign, 0.5)
    decision = stranger.route.Route(RouteRequest(agent_id="theirs"), timeout=SECONDS)
    found = World(
        service=service,
        dsn=dsn,
        platform=platform,
        tenant=tenant,
        coder=service.agent("coder"),
        user=service.user,
        stranger=stranger,
        message_id=own,
        foreign_message_id=foreign,
        foreign_feedback_id=vote.feedback_id,
        foreign_decision_id=decision.decision_id,
        foreign_rule_id=rule.rule_id,
    )
    counted(dsn)
    return found


def refused(world: World, call: Call) -> ImrsError:
    """How a call is refused; nothing of it is stored, and no secret told."""
    before = world.stored
    with pytest.raises(ImrsError) as caught:
        call(world)
    assert world.stored == before
    error = caught.value
    assert error.code not in {grpc.StatusCode.UNKNOWN, grpc.StatusCode.INTERNAL}, error
    assert error.reason in REASONS, error
    assert bool(error.violations) == (error.reason == "INVALID_REQUEST"), error
    assert KEY not in f"{error}{error.metadata}"
    return error


def route(client: str, **fields: Any) -> Call:
    return lambda world: getattr(world, client).route.Route(RouteRequest(**fields), timeout=SECONDS)


def explain(**fields: Any) -> Call:
    return lambda world: world.coder.route.ExplainRoute(RouteRequest(**fields), timeout=SECONDS)


def admin(client: str, method: str, request: Any) -> Call:
    return lambda world: getattr(getattr(world, client).admin, method)(request, timeout=SECONDS)


def catalog(client: str, method: str, request: Any) -> Call:
    return lambda world: getattr(getattr(world, client).catalog, method)(request, timeout=SECONDS)


def feedback(client: str, method: str, request: Any) -> Call:
    return lambda world: getattr(getattr(world, client).feedback, method)(request, timeout=SECONDS)


def rate(client: str = "coder", **fields: Any) -> Call:
    return lambda world: world_client(world, client).feedback.SubmitFeedback(
        SubmitFeedbackRequest(**{"message_id": world.message_id, **fields}), timeout=SECONDS
    )


def world_client(world: World, name: str) -> ImrsClient:
    found = getattr(world, name)
    assert isinstance(found, ImrsClient)
    return found


def record(client: str = "tenant", request_id: str = "", **fields: Any) -> Call:
    known = {"agent_id": "coder", "model_id": "p/m1", **fields}
    return lambda world: world_client(world, client).record(
        request_id=request_id, timeout_seconds=SECONDS, **known
    )


def provider(api_base: str = API, **fields: Any) -> Call:
    known = {"provider_id": "new", "api_base": api_base, "api_key": KEY, **fields}
    return admin("platform", "CreateProvider", CreateProviderRequest(provider=Provider(**known)))
