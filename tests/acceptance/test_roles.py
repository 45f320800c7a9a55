"""Who may call what, and what he learns: every method as every role, about its own, another and no tenant."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from google.protobuf.message_factory import GetMessageClass

from imrs_client.ids import new_id
from imrs_server.domain.principal import Role
from tests.support.calls import METHODS, Caller
from tests.support.everything import CATALOGUE, Home, bearer, furnish, request_of, settle
from tests.support.provider import FakeProvider

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.service import Service

REVIEWED = Path(__file__).parent.parent / "contract" / "roles.txt"


class World:
    """Two tenants that look alike, and a caller of each role; all but the platform's are of the first one."""

    def __init__(self, service: Service) -> None:
        self.platform = service.platform
        self.here = settle(service, service.tenant_id)
        self.elsewhere = settle(service, new_id())
        self.stranger = Caller(service)
        self.other_agent = Caller(service, Role.AGENT, agent_id=self.here.new_agent())
        self.callers = {
            Role.PLATFORM_ADMIN: Caller(service, Role.PLATFORM_ADMIN),
            Role.TENANT_ADMIN: Caller(service, Role.TENANT_ADMIN),
            Role.AGENT: Caller(service, Role.AGENT, agent_id=self.here.agent_id),
            Role.USER: Caller(service, Role.USER),
        }

    def outcomes(self, name: str, role: Role) -> str:
        """Three of them, own/other/missing tenant; one where they are equal or no tenant can be named."""
        if bearer(request_of(name, self.here, self.platform)) is None:
            return self._outcome(name, role, self.here, "")
        own = self._outcome(name, role, self.here, str(self.here.tenant_id))
        other = self._outcome(name, role, self.elsewhere, str(self.elsewhere.tenant_id))
        missing = self._outcome(name, role, self.here, "")
        return own if own == other == missing else f"{own}/{other}/{missing}"

    def _outcome(self, name: str, role: Role, home: Home, tenant_id: str) -> str:
        request = request_of(name, home, self.platform)
        part = bearer(request)
        if part is not None:
            part.tenant_id = tenant_id
        return self.callers[role](name, request).reason


@pytest.fixture(scope="module")
def world(shared_service: Service) -> Iterator[World]:
    with FakeProvider(CATALOGUE) as provider:
        furnish(shared_service, provider)
        yield World(shared_service)


def reviewed() -> dict[str, list[str]]:
    lines = (line.split() for line in REVIEWED.read_text(encoding="utf-8").splitlines())
    return {words[0]: words[1:] for words in lines if words and words[0] != "#"}


def test_every_method_is_reviewed() -> None:
    assert list(reviewed()) == list(METHODS)


@pytest.mark.parametrize("name", METHODS)
def test_who_may_call(world: World, name: str) -> None:
    """As the reviewed file says; a method that is new, or built now, changes its line there."""
    found = [world.outcomes(name, role) for role in world.callers]
    assert found == reviewed().get(name), f"{name:38}" + "  ".join(found)


@pytest.mark.parametrize("name", METHODS)
def test_nobody_calls_without_a_token(world: World, name: str) -> None:
    request = GetMessageClass(METHODS[name].input_type)()
    assert world.stranger(name, request).reason == "TOKEN_MISSING"


OF_AN_AGENT = (
    "AdminService/ListAgentModels",
    "RouteService/Route",
    "RouteService/BatchRoute",
    "RouteService/StreamRoutes",
    "RouteService/ExplainRoute",
    "RouteService/WatchAgent",
    "RouteService/RecordDecisions",
    "RouteService/Complete",
    "RouteService/Embed",
    "FeedbackService/RecordMessage",
    "FeedbackService/BatchRecordMessages",
    "FeedbackService/SubmitFeedback",
    "FeedbackService/BatchSubmitFeedback",
)


@pytest.mark.parametrize("name", OF_AN_AGENT)
def test_an_agent_speaks_for_itself_alone(world: World, name: str) -> None:
    request = request_of(name, world.here, world.platform)
    assert world.other_agent(name, request).reason == "AGENT_MISMATCH"
