"""OpenAI's API in front of a whole server, and the stock client of it."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import openai

from imrs_client import v1 as pb
from imrs_server.console.process import Console
from imrs_server.domain.principal import Role
from tests.support.service import Service

if TYPE_CHECKING:
    from collections.abc import Iterator


CAPABILITIES = ["text", "vision", "function_calling", "structured_output", "audio", "document", "code"]


@dataclass
class Door:
    """A door of ``service``, at ``url``. Here the stock client tries once, unless told."""

    service: Service
    url: str

    def client(self, token: str, **options: Any) -> openai.OpenAI:
        """Closed with the service."""
        made = openai.OpenAI(base_url=f"{self.url}/v1", api_key=token, **({"max_retries": 0} | options))
        return self.service.stack.enter_context(made)

    def agent(self, agent_id: str, **options: Any) -> openai.OpenAI:
        return self.client(self.service.token(Role.AGENT, agent_id=agent_id), **options)

    @property
    def tenant(self) -> openai.OpenAI:
        return self.client(self.service.token(Role.TENANT_ADMIN))


@contextmanager
def opened(service: Service) -> Iterator[Door]:
    """The HTTP process, as `imrs serve` starts it."""
    with Console("127.0.0.1:0", service.app.address) as console:
        yield Door(service, f"http://{console.address}")


def furnish(service: Service, name: str, api_base: str, *models: str, key: str = "", **fields: Any) -> None:
    """A provider with models that an agent may ask for anything; ``fields`` are further ones of Model."""
    platform = service.platform
    provider = pb.Provider(
        provider_id=name,
        provider_type=pb.Provider.Type.CUSTOM,
        dialect="openai" if key else "vllm",
        api_base=api_base,
        api_key=key,
    )
    platform.admin.CreateProvider(pb.CreateProviderRequest(provider=provider))
    known: dict[str, Any] = {
        "capabilities": [
            "text",
            "vision",
            "function_calling",
            "structured_output",
            "audio",
            "document",
            "code",
        ],
        "context_length": 100_000,
        "price_state": pb.Model.PriceState.PRICE_KNOWN,
        "input_price_usd": "1",
        "output_price_usd": "2",
        "cached_input_price_usd": "0.5",
    }
    for each in models:
        model = pb.Model(provider_id=name, external_id=each, **(known | fields))
        platform.catalog.CreateModel(pb.CreateModelRequest(model=model))
    service.settled(platform)


def employ(service: Service, agent_id: str, *model_ids: str, **fields: Any) -> None:
    """An agent that may use these models, all where none is named, and whose choice nothing chances upon."""
    tenant = service.tenant
    routing = pb.RoutingPolicy(exploration=pb.RoutingPolicy.Exploration.OFF)
    agent = pb.Agent(agent_id=agent_id, routing=routing, **fields)
    tenant.admin.CreateAgent(pb.CreateAgentRequest(agent=agent))
    if model_ids:
        wanted = pb.EnableAgentModelsRequest(agent_id=agent_id, model_ids=model_ids)
    else:
        wanted = pb.EnableAgentModelsRequest(agent_id=agent_id, filter=pb.ModelFilter())
    tenant.admin.EnableAgentModels(wanted)
    service.settled(tenant)
