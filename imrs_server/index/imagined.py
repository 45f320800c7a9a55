"""An agent as it is not: the tables that another policy, other models or other prices would give."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from imrs_server.domain import routing
from imrs_server.domain.agent import Agent, AgentModel
from imrs_server.index import rows
from imrs_server.index.state import Made

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from imrs_server.domain.model import Model
    from imrs_server.domain.replay import WhatIf
    from imrs_server.index.rows import Enrolled
    from imrs_server.index.state import State
    from imrs_server.index.tables import AgentTables
    from imrs_server.storage.index import Key


def tables(state: State, key: Key, what: WhatIf, catalogue: Iterable[Model]) -> AgentTables | None:
    """The agent's tables with what is different; None where the state has no such agent.

    ``catalogue`` has the models to add, which the state need not know. The evidence is the state's own.
    """
    enrolled = state.agents.get(key)
    if enrolled is None:
        return None
    models = _models(enrolled, state.numbered.by_number, what)
    other = replace(enrolled, agent=_agent(enrolled.agent, what), models=models, plain=b"")
    imagined = replace(
        state,
        agents=rows.given({key: other}),
        models=state.models.beside({each.model_id: each for each in catalogue}),
        made=Made(),
    )
    return imagined.agent(*key)


def _agent(agent: Agent, what: WhatIf) -> Agent:
    if what.policy is None:
        return agent
    return replace(agent, routing=routing.merge(agent.routing, what.policy))


def _models(enrolled: Enrolled, names: Mapping[int, str], what: WhatIf) -> tuple[AgentModel, ...]:
    known = {each.model_id: each for each in enrolled.settings(names)}
    found = {model_id: each for model_id, each in known.items() if model_id not in what.removed_models}
    for model_id in what.added_models:
        own = found.get(model_id) or AgentModel(agent_id=enrolled.agent.agent_id, model_id=model_id)
        found[model_id] = replace(own, enabled=True)
    for price in what.prices:
        if price.model_id in found:
            own = found[price.model_id]
            input_usd, output_usd = price.over(own.input_price_usd, own.output_price_usd)
            found[price.model_id] = replace(own, input_price_usd=input_usd, output_price_usd=output_usd)
    return tuple(found.values())
