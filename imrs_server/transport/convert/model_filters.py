"""Model filters, both ways."""

from __future__ import annotations

from typing import Any

from imrs_client import v1 as pb
from imrs_server.domain.model import CostTier, ModelFilter, ModelType
from imrs_server.transport.convert import common


def to_proto(filter: ModelFilter) -> pb.ModelFilter:
    return pb.ModelFilter(
        provider_id=filter.provider_id,
        cost_tier=common.number(pb.Model.CostTier, filter.cost_tier),
        capabilities=filter.capabilities,
        domains=filter.domains,
        model_type=common.number(pb.Model.Type, filter.model_type),
        available=filter.available,
        search=filter.search,
        min_context_length=filter.min_context_length or 0,
        max_input_price_usd=common.to_decimal_text(filter.max_input_price_usd),
    )


def model_filter(message: Any, field: str = "filter") -> ModelFilter | None:
    """The filter in a field; None where it is not set, as opposed to set and empty, which passes every model.

    Lists are put in order, so that filters that say the same are equal.
    """
    if not message.HasField(field):
        return None
    found: pb.ModelFilter = getattr(message, field)
    price = common.decimal(found.max_input_price_usd)
    return ModelFilter(
        provider_id=found.provider_id,
        cost_tier=common.member(CostTier, pb.Model.CostTier, found.cost_tier),
        capabilities=tuple(sorted(set(found.capabilities))),
        domains=tuple(sorted(set(found.domains))),
        model_type=common.member(ModelType, pb.Model.Type, found.model_type),
        available=common.optional(found, "available"),
        search=found.search,
        min_context_length=found.min_context_length or None,
        max_input_price_usd=price and price.normalize(),
    )
