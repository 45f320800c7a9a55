"""Servers with a model pool, and those who call its models."""

from __future__ import annotations

from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import psycopg
from google.protobuf import duration_pb2

from imrs_client import ImrsClient
from imrs_client import v1 as pb
from imrs_server.domain.endpoint import EndpointState
from tests.support import breakers
from tests.support.service import Service, serving
from tests.support.waiting import eventually

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import timedelta

    from tests.conftest import Vault


@dataclass
class Pooled:
    """Servers on one database, with a provider ``pool`` whose model ``pool/m`` the agent ``bot`` may use."""

    database: str
    servers: list[Service]
    bots: list[ImrsClient]

    @property
    def service(self) -> Service:
        return self.servers[0]

    @property
    def bot(self) -> ImrsClient:
        return self.bots[0]

    @property
    def platform(self) -> ImrsClient:
        return self.service.platform

    @property
    def selected(self) -> pb.SelectedModel:
        """What Route names to the first agent."""
        return self.bot.route.Route(pb.RouteRequest()).selected

    @property
    def kept(self) -> list[tuple[str, str, str]]:
        """Model, outcome and endpoint of each call, oldest first."""
        with psycopg.connect(self.database) as connection:
            return connection.execute(
                "select model_id, outcome, metadata -> 'imrs' ->> 'endpoint'"
                " from messages order by create_time"
            ).fetchall()

    def add(
        self, base_url: str, *, model_id: str = "pool/m", ttl: timedelta | None = None, **fields: Any
    ) -> str:
        """An endpoint; every server knows of it."""
        platform = self.platform
        endpoint = pb.Endpoint(model_id=model_id, base_url=base_url, **fields)
        if ttl is not None:
            length = duration_pb2.Duration()
            length.FromTimedelta(ttl)
            endpoint.ttl.CopyFrom(length)
        found = platform.admin.SetEndpoint(pb.SetEndpointRequest(endpoint=endpoint))
        self.settled(platform)
        return found.endpoint_id

    def settled(self, client: ImrsClient) -> None:
        for each in self.servers:
            assert each.app.index.wait_for(client.last_revision, 20)

    def endpoints(self) -> dict[str, pb.Endpoint]:
        found = self.platform.admin.ListEndpoints(pb.ListEndpointsRequest())
        return {each.endpoint_id: each for each in found.endpoints}

    def state(self, endpoint_id: str) -> EndpointState:
        return EndpointState(pb.Endpoint.State.Name(self.endpoints()[endpoint_id].state))

    def becomes(self, endpoint_id: str, state: EndpointState) -> None:
        """Wait until it does, and every server knows."""
        eventually(lambda: self.state(endpoint_id) is state)
        for each in self.servers:
            eventually(lambda app=each.app: _known(app, endpoint_id) is state)  # type: ignore[misc]

    def execute(self, statement: str, **values: Any) -> None:
        """What time, or an accident, would do."""
        with psycopg.connect(self.database) as connection:
            connection.execute(statement, values)

    def rest(self, endpoint_id: str, minutes: int) -> None:
        """Let it be idle for so long, now that nobody calls it, until it is COLD and every server knows."""
        long_ago = f"now() - interval '{minutes} minutes'"

        def rested() -> bool:
            # Again and again, for servers tell of the last call a moment later.
            self.execute(f"update endpoints set state_time = {long_ago} where state = 'HOT'")
            self.execute(f"update endpoint_calls set update_time = {long_ago}")
            return self.state(endpoint_id) is EndpointState.COLD

        eventually(rested, 60)
        self.becomes(endpoint_id, EndpointState.COLD)

    def breakers_due_in(self, seconds: float) -> None:
        """Let what cools move on in so many seconds, and not before."""
        revision = breakers.due_in(self.service.app, seconds)
        assert all(each.app.index.wait_for(revision, 20) for each in self.servers)

    @contextmanager
    def unwatched(self) -> Iterator[None]:
        """No server looks at the pool by itself; ``watch`` does."""
        with psycopg.connect(self.database, autocommit=True) as connection:
            connection.execute("select pg_advisory_lock(hashtextextended('imrs.job.pool', 11))")
            yield

    def watch(self) -> None:
        """A turn of the job, in which everything is looked at."""
        self.service.app.model_pool.watch.turn()


def _known(app: Any, endpoint_id: str) -> EndpointState | None:
    endpoints = (each for known in app.index.current.endpoints.values() for each in known)
    return next((each.state for each in endpoints if each.endpoint_id == endpoint_id), None)


@contextmanager
def pooled(
    database: str, vault: Vault, *, api_base: str, servers: int = 1, fallback: str = "", **fields: Any
) -> Iterator[Pooled]:
    """``fallback`` is where a second model, ``other/m``, answers."""
    with ExitStack() as stack:
        found = [stack.enter_context(serving(database, vault, poll_seconds=0.5)) for _ in range(servers)]
        for each in found[1:]:
            each.tenant_id = found[0].tenant_id
        platform, tenant = found[0].platform, found[0].tenant
        plain: dict[str, Any] = {"provider_type": pb.Provider.Type.CUSTOM, "dialect": "vllm"}
        _provider(
            platform, pb.Provider(provider_id="pool", api_base=api_base, **(plain | fields)), priority=90
        )
        if fallback:
            _provider(platform, pb.Provider(provider_id="other", api_base=fallback, **plain), priority=10)
        routing = pb.RoutingPolicy(exploration=pb.RoutingPolicy.Exploration.OFF)
        tenant.admin.CreateAgent(pb.CreateAgentRequest(agent=pb.Agent(agent_id="bot", routing=routing)))
        tenant.admin.EnableAgentModels(pb.EnableAgentModelsRequest(agent_id="bot", filter=pb.ModelFilter()))
        world = Pooled(database, found, [each.agent("bot") for each in found])
        world.settled(tenant)
        yield world


def _provider(platform: ImrsClient, provider: pb.Provider, *, priority: int) -> None:
    platform.admin.CreateProvider(pb.CreateProviderRequest(provider=provider))
    model = pb.Model(provider_id=provider.provider_id, external_id="m", priority=priority)
    platform.catalog.CreateModel(pb.CreateModelRequest(model=model))
