"""From what a dialect understood of an item to the model, and to what the provider itself said of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from imrs_server.domain import catalogue_rules as rules
from imrs_server.domain.discovery import DiscoveredModel
from imrs_server.domain.model import Provenance

if TYPE_CHECKING:
    from collections.abc import Collection
    from datetime import datetime

    from imrs_server.adapters.providers.dialect import Access
    from imrs_server.domain.catalogue_rules import Prices
    from imrs_server.domain.model import ModelType


def described(
    access: Access,
    external_id: object,
    *,
    made_of: str = "",
    display_name: object = None,
    kind: ModelType | None = None,
    outputs: Collection[str] = (),
    inputs: Collection[str] = (),
    tools: bool = False,
    structured_output: bool = False,
    reasoning: bool = False,
    capabilities_told: bool = False,
    context_length: object = None,
    max_output_tokens: object = None,
    price: Prices | None = None,
    retire_time: datetime | None = None,
) -> DiscoveredModel | None:
    """The model; None when the id can be none.

    ``made_of`` is the name that tells what it is, where the id does not. ``capabilities_told`` says that the
    provider lists them all: only then may no better source add to them. ``price`` None is nothing said.
    """
    name = rules.external_id(external_id, access.provider.provider_id)
    if name is None:
        return None
    shown = rules.display_name(display_name, "")
    context = rules.token_count(context_length)
    output = rules.token_count(max_output_tokens)
    model_type = kind or rules.model_type(made_of or name, outputs)
    judged = price or rules.prices(None, None)
    given = {
        "display_name": shown,
        "model_type": kind or outputs,
        "capabilities": capabilities_told,
        "context_length": context,
        "max_output_tokens": output,
        "price_state": price,
        "input_price_usd": judged.input is not None,
        "output_price_usd": judged.output is not None,
        "cached_input_price_usd": judged.cached_input is not None,
        "retire_time": retire_time,
    }
    return DiscoveredModel(
        external_id=name,
        display_name=shown or name,
        model_type=model_type,
        capabilities=rules.capabilities(
            made_of or name,
            model_type,
            inputs=inputs,
            tools=tools,
            structured_output=structured_output,
            reasoning=reasoning,
            context_length=context,
        ),
        cost_tier=rules.cost_tier(judged),
        context_length=context,
        max_output_tokens=output,
        price_state=judged.state,
        input_price_usd=judged.input,
        output_price_usd=judged.output,
        cached_input_price_usd=judged.cached_input,
        retire_time=retire_time,
        provenance={field: Provenance.PROVIDER for field, value in given.items() if value},
    )
