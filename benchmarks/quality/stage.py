"""What must be there before the first request: a catalogue, and tenants with agents and policies."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING

from benchmarks.quality.plan import AGENTS
from imrs_client.v1 import (
    Agent,
    CreateAgentRequest,
    CreateModelRequest,
    CreateProviderRequest,
    Defaults,
    EnableAgentModelsRequest,
    Model,
    Provider,
    UpdateDefaultsRequest,
)

if TYPE_CHECKING:
    from collections.abc import Iterable

    from benchmarks.quality.lane import Lane
    from benchmarks.quality.table import Table
    from imrs_client import ImrsClient

PROVIDER = "bench"

# The catalogue has prices of a million tokens: as if every answer took a thousand of them.
ANSWERS_PER_MILLION_TOKENS = 1000


def agent_id(number: int) -> str:
    return f"agent-{number:02d}"


def model_ids(table: Table) -> list[str]:
    return [f"{PROVIDER}/{name}" for name in table.models]


def set_up(client: ImrsClient, table: Table, lanes: Iterable[Lane]) -> None:
    """One catalogue for all, with flat priorities; a tenant a lane. ``client`` is a platform admin's."""
    _catalogue(client, table)
    for lane in lanes:
        defaults = Defaults(scope=Defaults.TENANT, routing=lane.arm.policy)
        client.admin.UpdateDefaults(UpdateDefaultsRequest(tenant_id=lane.tenant_id, defaults=defaults))
        for number in range(AGENTS):
            agent = Agent(agent_id=agent_id(number))
            client.admin.CreateAgent(CreateAgentRequest(tenant_id=lane.tenant_id, agent=agent))
        _enable(client, lane, [name for name in model_ids(table) if name not in _latecomers(table, lane)])


def arrive(client: ImrsClient, table: Table, lanes: Iterable[Lane]) -> None:
    """Half way: enable what was kept back."""
    for lane in lanes:
        if lane.arm.arrives:
            _enable(client, lane, _latecomers(table, lane))


def _latecomers(table: Table, lane: Lane) -> list[str]:
    return [model_ids(table)[table.best_model]] if lane.arm.arrives else []


def _enable(client: ImrsClient, lane: Lane, names: list[str]) -> None:
    for number in range(AGENTS):
        client.admin.EnableAgentModels(
            EnableAgentModelsRequest(tenant_id=lane.tenant_id, agent_id=agent_id(number), model_ids=names)
        )


def _catalogue(client: ImrsClient, table: Table) -> None:
    # Needs no key, and nobody calls it.
    provider = Provider(
        provider_id=PROVIDER, provider_type=Provider.OLLAMA, api_base="https://models.example.org"
    )
    client.admin.CreateProvider(CreateProviderRequest(provider=provider))
    for name, cost in zip(table.models, table.mean_costs, strict=True):
        price = f"{Decimal(float(cost)) * ANSWERS_PER_MILLION_TOKENS:.9f}"
        model = Model(
            provider_id=PROVIDER,
            external_id=name,
            price_state=Model.PRICE_KNOWN,
            input_price_usd=price,
            output_price_usd=price,
        )
        client.catalog.CreateModel(CreateModelRequest(model=model))
