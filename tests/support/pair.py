"""Two servers on one database, and an agent of theirs with models of two providers."""

from __future__ import annotations

from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import psycopg

from imrs_client import ImrsClient
from imrs_client import v1 as pb
from imrs_server.domain.principal import Role
from tests.support import breakers, patience
from tests.support.chatting import whole
from tests.support.provider import FakeProvider
from tests.support.service import Service, serving

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.conftest import Vault
    from tests.support.provider import Behaviour

PROMPT = "Write a Python function that parses a date"


@dataclass
class Pair:
    """Two servers with a bot at each; ``first/m`` and ``first/n`` are better than ``second/m``."""

    services: tuple[Service, Service]
    bots: tuple[ImrsClient, ImrsClient]
    first: FakeProvider
    second: FakeProvider

    @property
    def platform(self) -> ImrsClient:
        return self.services[0].platform

    def execute(self, statement: str) -> list[tuple[Any, ...]]:
        dsn = self.services[0].settings.database_url.get_secret_value()
        with psycopg.connect(dsn, autocommit=True) as connection:
            found = connection.execute(statement)
            return found.fetchall() if found.description else []

    def breakers(self, columns: str = "*") -> list[tuple[Any, ...]]:
        """Those that are not closed, when both servers have told what they saw fail."""
        for each in self.services:
            breakers.await_told(each.app)
        return self.execute(f"select {columns} from breakers")

    def move_on(self) -> None:
        """Let the time of the next step come, and of that after it not by itself."""
        for each in self.services:
            breakers.await_told(each.app)
        self.settled(breakers.step(self.services[0].app))

    def due_in(self, seconds: float) -> None:
        """Let the next step come in so many seconds."""
        self.settled(breakers.due_in(self.services[0].app, seconds))

    def settled(self, revision: int) -> None:
        """Wait until both know of a revision."""
        assert all(each.app.index.wait_for(revision, 20) for each in self.services)

    def selected(self, bot: ImrsClient, **fields: Any) -> str:
        return bot.route.Route(pb.RouteRequest(**fields)).selected.model_id

    def removed(self, bot: ImrsClient) -> dict[str, str]:
        """What cools by the name of its filter, and why."""
        found = bot.route.ExplainRoute(pb.RouteRequest())
        cooldown = pb.CandidateReport.RemovedBy.COOLDOWN
        return {each.model_id: each.detail for each in found.candidates if each.removed_by == cooldown}

    def fails(self, behaviour: Behaviour, times: int = 1) -> None:
        """The best model fails so often at the first server, and another provider's answers."""
        for _ in range(times):
            self.first.script(behaviour)
            done = self.ask(self.bots[0])
            assert [each.model_id for each in done.failed_attempts] == ["first/m"]

    def ask(self, bot: ImrsClient, **fields: Any) -> Any:
        allowed = pb.StringList(values=["first/m", "second/m"])
        return bot.complete(PROMPT, allowed_models=allowed, **fields)


@contextmanager
def pairing(database: str, vault: Vault) -> Iterator[Pair]:
    """Start them, on a fresh database."""
    with ExitStack() as stack:
        first = stack.enter_context(FakeProvider(b""))
        second = stack.enter_context(FakeProvider(b""))
        for name, upstream in (("first", first), ("second", second)):
            upstream.page("/v1/chat/completions", whole(name))
        one = stack.enter_context(serving(database, vault))
        other = stack.enter_context(serving(database, vault))
        for provider_id, upstream, models in (("first", first, "mn"), ("second", second, "m")):
            furnish(one.platform, provider_id, upstream, models)
        tenant = one.tenant
        routing = pb.RoutingPolicy(exploration=pb.RoutingPolicy.Exploration.OFF)
        tenant.admin.CreateAgent(pb.CreateAgentRequest(agent=pb.Agent(agent_id="bot", routing=routing)))
        tenant.admin.EnableAgentModels(pb.EnableAgentModelsRequest(agent_id="bot", filter=pb.ModelFilter()))
        token = one.token(Role.AGENT, agent_id="bot")
        bots = [stack.enter_context(patience.client(each.app.address, token)) for each in (one, other)]
        found = Pair((one, other), (bots[0], bots[1]), first, second)
        found.settled(tenant.last_revision)
        yield found


def furnish(platform: ImrsClient, provider_id: str, upstream: FakeProvider, models: str) -> None:
    provider = pb.Provider(
        provider_id=provider_id,
        provider_type=pb.Provider.Type.CUSTOM,
        api_base=f"{upstream.url}/v1",
        api_key=f"sk-{provider_id}",
    )
    platform.admin.CreateProvider(pb.CreateProviderRequest(provider=provider))
    for external_id in models:
        priority = {"first/m": 90, "first/n": 80}.get(f"{provider_id}/{external_id}", 50)
        model = pb.Model(provider_id=provider_id, external_id=external_id, priority=priority)
        platform.catalog.CreateModel(pb.CreateModelRequest(model=model))
