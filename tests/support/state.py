"""States of the index, made by hand."""

from __future__ import annotations

from dataclasses import replace
from typing import Any
from uuid import UUID

from imrs_server.domain.agent import Agent, AgentModel
from imrs_server.domain.model import Model
from imrs_server.domain.provider import Provider, ProviderType
from imrs_server.index import rows
from imrs_server.index.rows import Enrolled, Numbered
from imrs_server.index.state import State
from imrs_server.storage.index import Key
from tests.support.evidence import cells, number
from tests.support.schema import HERE

PROVIDER = Provider(
    provider_id="p",
    display_name="P",
    provider_type=ProviderType.CUSTOM,
    dialect="openai",
    api_base="https://llm.example/v1",
    models_endpoint="/models",
    key_version=1,
)


def model(name: str, **changes: Any) -> Model:
    return Model(
        **{
            "model_id": f"p/{name}",
            "provider_id": "p",
            "external_id": name,
            "display_name": name.upper(),
            **changes,
        }
    )


def state(*models: Model, agent: Agent | None = None, **changes: Any) -> State:
    """One agent, ``a`` unless another is given, that may use all of the models; evidence as sums by model."""
    agent = agent or Agent(agent_id="a", tenant_id=HERE)
    own = changes.pop("own", {})
    settings = tuple(
        replace(AgentModel(agent_id=agent.agent_id, model_id=each.model_id), **own.get(each.external_id, {}))
        for each in models
    )
    numbered = Numbered()
    for each in models:
        numbered.add(each.model_id, number(each.model_id))
    learned = {
        key: {task: cells(sums) for task, sums in tasks.items()}
        for key, tasks in changes.pop("evidence", {}).items()
    }
    known: dict[str, Any] = {
        "revision": 7,
        "epoch": UUID(int=1),
        "providers": {"p": PROVIDER},
        "models": rows.given({each.model_id: each for each in models}),
        "agents": rows.given({Key(agent.tenant_id, agent.agent_id): Enrolled(agent, settings)}),
        "evidence": learned,
        "numbered": numbered,
    }
    return State(**(known | changes))
