"""What Route makes of each model of an agent: told by the index and the filters that Route itself uses."""

from __future__ import annotations

from typing import TYPE_CHECKING

from imrs_client.decide import explain
from imrs_client.query import Query
from imrs_server.domain import parameters, routing
from imrs_server.domain.agent import Effect
from imrs_server.domain.parameters import UNSET
from imrs_server.domain.preference import OTHER_CLASSES
from imrs_server.domain.routing import DEFAULT_POLICY, RoutingPolicy
from imrs_server.storage.index import Key

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from uuid import UUID

    from imrs_server.domain.agent import Agent, AgentModel
    from imrs_server.domain.defaults import Defaults
    from imrs_server.index.rows import Enrolled
    from imrs_server.index.state import State
    from imrs_server.index.warm import Index

# Long enough for a change of this very moment to arrive; with the listener down, the answer is the old one.
_CATCH_UP_SECONDS = 0.5


class Effects:
    """Looks an agent's models up in the index."""

    def __init__(self, index: Index) -> None:
        self._index = index

    def __call__(self, tenant_id: UUID, agent_id: str, revision: int) -> Mapping[str, Effect]:
        """Model by model: what a request meets that asks for the model's own type and nothing more.

        Waits a moment for the index to reach ``revision``, so that an admin sees what he has just written. A
        model that the index does not have is not in the answer.
        """
        self._index.wait_for(revision, _CATCH_UP_SECONDS)
        state = self._index.current
        tables = None if state is None else state.agent(tenant_id, agent_id)
        if state is None or tables is None:
            return {}
        ranked = tables.table("").ranked
        origins = dict(_origins(state, state.agents[Key(tenant_id, agent_id)]))
        reports = {
            each: explain(ranked, Query(model_type=each))
            for each in {candidate.model_type for candidate in ranked.candidates}
        }
        found = {}
        for position, candidate in enumerate(ranked.candidates):
            told = reports[candidate.model_type][position]
            found[candidate.model_id] = Effect(
                eligible=told.removed_by is None,
                removed_by=told.removed_by,
                detail=told.detail,
                value_sources=origins[candidate.model_id],
            )
        return found


def _origins(state: State, enrolled: Enrolled) -> Iterator[tuple[str, dict[str, str]]]:
    """Model by model: the level that each value comes from."""
    agent = enrolled.agent
    preference = state.preferences.get(agent.agent_class) or (
        state.preferences.get(OTHER_CLASSES) if agent.agent_class else None
    )
    everybody, tenant = state.defaults.get(None), state.defaults.get(agent.tenant_id)
    common = _of_agent(agent, everybody, tenant)
    for own in enrolled.settings(state.numbered.by_number):
        model = state.models.get(own.model_id)
        if model is None:
            continue
        levels = {
            "GLOBAL": everybody.parameters if everybody else UNSET,
            "TENANT": tenant.parameters if tenant else UNSET,
            "MODEL": model.parameters,
            "CLASS": preference.parameters if preference else UNSET,
            "AGENT": agent.parameters,
            "AGENT_MODEL": own.parameters,
        }
        told = {f"parameters.{name}": level for name, level in parameters.origins(levels).items()}
        yield own.model_id, common | told | _of_settings(own)


def _of_agent(agent: Agent, everybody: Defaults | None, tenant: Defaults | None) -> dict[str, str]:
    """What is the same for all models of the agent: its policy, its default model, its fallbacks."""
    levels = {
        "BUILT_IN": DEFAULT_POLICY,
        "GLOBAL": everybody.routing if everybody else RoutingPolicy(),
        "TENANT": tenant.routing if tenant else RoutingPolicy(),
        "AGENT": agent.routing,
    }
    told = {f"routing.{name}": level for name, level in routing.origins(levels).items()}
    for level, named in (("GLOBAL", everybody), ("TENANT", tenant), ("AGENT", agent)):
        if named is not None and named.default_model_id:
            told["default_model_id"] = level
    return told | {"fallback_model_ids": "BUILT_IN" if agent.fallback_model_ids is None else "AGENT"}


_FIELDS = {
    "effective_priority": "priority_override",
    "context_length": "context_length",
    "input_price_usd": "input_price_usd",
    "output_price_usd": "output_price_usd",
}


def _of_settings(own: AgentModel) -> dict[str, str]:
    told = {name: "MODEL" if getattr(own, of) is None else "AGENT_MODEL" for name, of in _FIELDS.items()}
    return told if own.fallback_model_ids is None else told | {"fallback_model_ids": "AGENT_MODEL"}
