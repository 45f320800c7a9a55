"""What curated catalogues add to a provider's list: they fill gaps, and never contradict it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from imrs_server.domain import catalogue_rules as rules
from imrs_server.domain.model import PriceState, Provenance

if TYPE_CHECKING:
    from imrs_server.domain.catalogue_rules import Prices
    from imrs_server.domain.discovery import DiscoveredModel


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What curators say of a model. Modalities: text, image, audio, video, pdf; empty ones are not told."""

    display_name: str = ""
    inputs: tuple[str, ...] = ()
    outputs: tuple[str, ...] = ()
    tools: bool = False
    structured_output: bool = False
    reasoning: bool = False
    context_length: int | None = None
    max_output_tokens: int | None = None


def described(listed: DiscoveredModel, facts: Facts) -> DiscoveredModel:
    """The listed model with the names, limits and capabilities that its provider does not give.

    What is filled in has the provenance CURATED.
    """
    told = listed.provenance
    found: dict[str, Any] = {}
    if facts.display_name and "display_name" not in told:
        found["display_name"] = rules.display_name(facts.display_name, listed.external_id)
    for name in ("context_length", "max_output_tokens"):
        value = getattr(facts, name)
        if value is not None and name not in told:
            found[name] = value
    if facts.outputs and "model_type" not in told:
        found["model_type"] = rules.model_type(listed.external_id, facts.outputs)
    if (facts.inputs or facts.outputs) and "capabilities" not in told:
        # They follow from the context and the type that hold in the end, whoever said so.
        found["capabilities"] = rules.capabilities(
            listed.external_id,
            found.get("model_type", listed.model_type),
            inputs=facts.inputs,
            tools=facts.tools,
            structured_output=facts.structured_output,
            reasoning=facts.reasoning,
            context_length=found.get("context_length", listed.context_length),
        )
    return _filled(listed, found)


def priced(listed: DiscoveredModel, price: Prices) -> DiscoveredModel:
    """The listed model with curated prices, where its provider says nothing of any price."""
    if "price_state" in listed.provenance or price.state is PriceState.PRICE_UNKNOWN:
        return listed
    found = {
        "price_state": price.state,
        "input_price_usd": price.input,
        "output_price_usd": price.output,
        "cached_input_price_usd": price.cached_input,
    }
    whole = _filled(listed, {name: value for name, value in found.items() if value is not None})
    return replace(whole, cost_tier=rules.cost_tier(price))


def _filled(listed: DiscoveredModel, found: dict[str, Any]) -> DiscoveredModel:
    if not found:
        return listed
    return replace(listed, **found, provenance=listed.provenance | dict.fromkeys(found, Provenance.CURATED))
