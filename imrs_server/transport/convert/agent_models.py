"""What agents may use, and their standing rules: messages and domain values, both ways."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from imrs_client import v1 as pb
from imrs_server.domain.agent import Effect
from imrs_server.transport.convert import common, model_filters
from imrs_server.transport.convert.masks import Mutable

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from decimal import Decimal

    from imrs_server.domain.agent import AgentModel, AgentRule, Enabled

_NOT_ASKED = Effect(eligible=False)


def to_proto(model: AgentModel) -> pb.AgentModel:
    effect = model.effect or _NOT_ASKED
    return pb.AgentModel(
        agent_id=model.agent_id,
        model_id=model.model_id,
        display_name=model.display_name,
        provider_id=model.provider_id,
        cost_tier=common.number(pb.Model.CostTier, model.cost_tier),
        enabled=model.enabled,
        priority_override=model.priority_override,
        effective_priority=model.effective_priority,
        parameters=common.to_parameters(model.parameters),
        context_length=model.context_length,
        input_price_usd=_to_price(model.input_price_usd),
        output_price_usd=_to_price(model.output_price_usd),
        fallback_model_ids=common.to_string_list(model.fallback_model_ids),
        allowed_roles=model.allowed_roles,
        metadata=common.to_struct(model.metadata or None),
        enabled_by=model.enabled_by,
        enabled_time=common.to_timestamp(model.enabled_time),
        source=common.number(pb.AgentModel.Source, model.source if model.enabled else None),
        eligible=effect.eligible,
        removed_by=common.number(pb.CandidateReport.RemovedBy, effect.removed_by),
        detail=effect.detail,
        value_sources=effect.value_sources,
    )


def fields(message: pb.AgentModel, mask: Sequence[str]) -> dict[str, Any]:
    """The settings that a mask names, or those that are set, as domain values. Raises InvalidRequest."""
    return _MUTABLE.changes(message, mask)


def to_rule(rule: AgentRule) -> pb.AgentRule:
    return pb.AgentRule(
        rule_id=str(rule.rule_id or ""),
        agent_id=rule.agent_id,
        filter=model_filters.to_proto(rule.filter),
        priority_override=rule.priority_override,
        create_time=common.to_timestamp(rule.create_time),
    )


def to_enabled(enabled: Enabled) -> pb.EnableAgentModelsResponse:
    return pb.EnableAgentModelsResponse(
        enabled_count=enabled.count,
        model_ids=enabled.model_ids,
        rule=to_rule(enabled.rule) if enabled.rule else None,
    )


def _to_price(amount: Decimal | None) -> str | None:
    return None if amount is None else common.to_decimal_text(amount)


_READERS: Mapping[str, Callable[[pb.AgentModel], Any]] = {
    "enabled": lambda message: message.enabled,
    "priority_override": lambda message: common.optional(message, "priority_override"),
    "parameters": lambda message: common.parameters(message.parameters),
    "context_length": lambda message: common.optional(message, "context_length"),
    "input_price_usd": lambda message: common.decimal(message.input_price_usd),
    "output_price_usd": lambda message: common.decimal(message.output_price_usd),
    "fallback_model_ids": lambda message: common.string_list(message, "fallback_model_ids"),
    "allowed_roles": lambda message: tuple(message.allowed_roles),
    "metadata": lambda message: common.struct(message, "metadata") or {},
}
_MUTABLE = Mutable(name="agent_model", readers=_READERS, to_proto=to_proto)
