"""Three providers of a model each on a whole server, and the agent that asks them."""

from __future__ import annotations

from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import psycopg
from psycopg.rows import dict_row

from imrs_client import ImrsClient
from imrs_client import v1 as pb
from tests.support.provider import FakeProvider
from tests.support.service import Service

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.provider import Behaviour

NAMES = ("first", "second", "third")
PROMPT = "Write a Python function that parses a date"
# 800 tokens at 1, 200 cached ones at 0.5 and 500 at 2 USD per 1M.
COST_USD = Decimal("0.0019")


@dataclass
class ThreeModels:
    """Three providers of a model each, in the order in which they are chosen, and the agent that asks."""

    service: Service
    providers: dict[str, FakeProvider]
    bot: ImrsClient

    def play(self, **behaviours: Behaviour) -> None:
        for name, behaviour in behaviours.items():
            self.providers[name].script(behaviour)

    @property
    def asked(self) -> list[str]:
        """How often each was called, in the order of their names."""
        return [name for name, each in self.providers.items() for _ in each.requests]

    @property
    def messages(self) -> list[dict[str, Any]]:
        """What was kept, oldest first."""
        dsn = self.service.settings.database_url.get_secret_value()
        with psycopg.connect(dsn, row_factory=dict_row) as connection:
            return connection.execute("select * from messages order by create_time").fetchall()

    @property
    def kept(self) -> list[tuple[str, str, str]]:
        """Model, outcome and error kind of each call."""
        return [(row["model_id"][:-2], row["outcome"], row["error_kind"]) for row in self.messages]


@contextmanager
def three_models(service: Service) -> Iterator[ThreeModels]:
    """They are asked in the order of their names."""
    with ExitStack() as stack:
        providers = {name: stack.enter_context(FakeProvider(b"")) for name in NAMES}
        for number, (name, each) in enumerate(providers.items()):
            furnish(service, name, each, priority=90 - 30 * number)
        tenant = service.tenant
        routing = pb.RoutingPolicy(exploration=pb.RoutingPolicy.Exploration.OFF)
        tenant.admin.CreateAgent(pb.CreateAgentRequest(agent=pb.Agent(agent_id="bot", routing=routing)))
        everything = pb.EnableAgentModelsRequest(agent_id="bot", filter=pb.ModelFilter())
        tenant.admin.EnableAgentModels(everything)
        service.settled(tenant)
        yield ThreeModels(service, providers, service.agent("bot"))


def furnish(service: Service, name: str, upstream: FakeProvider, *, priority: int, **fields: Any) -> None:
    platform = service.platform
    provider = pb.Provider(
        provider_id=name,
        provider_type=pb.Provider.Type.CUSTOM,
        api_base=f"{upstream.url}/v1",
        api_key="" if fields else f"sk-{name}",
        **fields,
    )
    platform.admin.CreateProvider(pb.CreateProviderRequest(provider=provider))
    model = pb.Model(
        provider_id=name,
        external_id="m",
        priority=priority,
        context_length=100_000,
        price_state=pb.Model.PriceState.PRICE_KNOWN,
        input_price_usd="1",
        output_price_usd="2",
        cached_input_price_usd="0.5",
    )
    platform.catalog.CreateModel(pb.CreateModelRequest(model=model))
    service.settled(platform)
