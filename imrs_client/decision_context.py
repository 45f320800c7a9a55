"""What is reported with a decision, so that the service can take it again: what was asked, and what chance
could have led to. Never the text of a message.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from imrs_client.query import Query
from imrs_client.v1 import DataPolicy, DecisionContext, Model, RouteRequest, StringList

if TYPE_CHECKING:
    from collections.abc import Mapping

    from imrs_client.query import DataDemand

# A draw from more models than these is reported without its probabilities.
MOST_PROPENSITIES: Final = 100

_NOTHING: Final = Query()


def of(query: Query, agent_class: str, seed: int | None, propensities: Mapping[str, float]) -> bytes:
    """A DecisionContext; equal ones are equal bytes. Empty for a query that is too long to be kept."""
    if not query.is_small:
        return b""
    request = RouteRequest(agent_class=agent_class, seed=seed, **_asked(query))
    told = propensities if len(propensities) <= MOST_PROPENSITIES else {}
    # Set though nothing may be in it: that nothing was asked is something to tell.
    context = DecisionContext(request=request, propensities=told)
    return context.SerializeToString(deterministic=True)


def _asked(query: Query) -> dict[str, Any]:
    """The fields of the request, those that are not as by default."""
    found: dict[str, Any] = {
        "required_capabilities": query.capabilities,
        "domains": query.domains,
        "excluded_models": query.excluded_models,
        "roles": sorted(query.roles),
        "min_context_length": query.min_context_length,
        "estimated_prompt_tokens": query.estimated_prompt_tokens,
        "conversation_id": query.conversation_id,
        "previous_model_id": query.previous_model_id,
    }
    if query.model_type != _NOTHING.model_type:
        found["model_type"] = Model.Type.Value(query.model_type)
    if query.allowed_models is not None:
        found["allowed_models"] = StringList(values=query.allowed_models)
    if query.max_cost_tier is not None:
        found["max_cost_tier"] = Model.CostTier.Value(query.max_cost_tier)
    if query.prefer_cost_tier is not None:
        found["prefer_cost_tier"] = Model.CostTier.Value(query.prefer_cost_tier)
    if query.max_latency_ms is not None:
        found["max_latency_ms"] = int(query.max_latency_ms)
    if query.data is not None:
        found["data_policy"] = _policy(query.data)
    if query.max_fallbacks != _NOTHING.max_fallbacks:
        found["max_fallbacks"] = query.max_fallbacks
    return found


def _policy(demand: DataDemand) -> DataPolicy:
    return DataPolicy(
        regions=sorted(demand.regions),
        trains_on_data=False if demand.no_training else None,
        retains_data=False if demand.no_retention else None,
    )
