"""Models, their changes and syncs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from imrs_client import v1 as pb
from imrs_server.domain.model import BulkUpdate, CostTier, Model, ModelType, PriceState
from imrs_server.domain.provider import etag
from imrs_server.transport.convert import common
from imrs_server.transport.convert.masks import Mutable

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from imrs_server.domain.sync import ModelChange, SyncProgress, SyncResult


def to_proto(model: Model) -> pb.Model:
    return pb.Model(
        model_id=model.model_id,
        provider_id=model.provider_id,
        external_id=model.external_id,
        display_name=model.display_name,
        model_type=common.number(pb.Model.Type, model.model_type),
        capabilities=model.capabilities,
        domains=model.domains,
        priority=model.priority,
        cost_tier=common.number(pb.Model.CostTier, model.cost_tier),
        context_length=model.context_length or 0,
        max_output_tokens=model.max_output_tokens or 0,
        price_state=common.number(pb.Model.PriceState, model.price_state),
        input_price_usd=common.to_decimal_text(model.input_price_usd),
        output_price_usd=common.to_decimal_text(model.output_price_usd),
        cached_input_price_usd=common.to_decimal_text(model.cached_input_price_usd),
        parameters=common.to_parameters(model.parameters),
        available=model.available,
        lifecycle=common.number(pb.Model.Lifecycle, model.lifecycle),
        retire_time=common.to_timestamp(model.retire_time),
        provenance=model.provenance,
        metadata=common.to_struct(model.metadata or None),
        synced_time=common.to_timestamp(model.synced_time),
        create_time=common.to_timestamp(model.create_time),
        update_time=common.to_timestamp(model.update_time),
        delete_time=common.to_timestamp(model.delete_time),
        etag=etag(model.version),
    )


def given(message: pb.Model) -> dict[str, Any]:
    """The fields that a new model comes with; what is not set gets its default."""
    return _MUTABLE.changes(message, [])


def changes(message: pb.Model, mask: Sequence[str]) -> dict[str, Any]:
    """The fields that an update names, with their new values. Raises InvalidRequest for any other."""
    return _MUTABLE.changes(message, mask)


def bulk_update(message: pb.BulkUpdateModelsRequest.Update) -> BulkUpdate:
    return BulkUpdate(
        available=common.optional(message, "available"),
        priority=common.optional(message, "priority"),
        cost_tier=_cost_tier(message.cost_tier),
    )


def to_change(change: ModelChange) -> pb.ModelChange:
    """Fields in alphabetical order; null stands for a value that there was not, or is not any more."""
    return pb.ModelChange(
        change_id=str(change.change_id or ""),
        provider_id=change.provider_id,
        model_id=change.model_id,
        action=common.number(pb.ModelChange.Action, change.action),
        diffs=[
            pb.FieldDiff(
                field=field,
                before=common.to_value(change.before.get(field)),
                after=common.to_value(change.after.get(field)),
            )
            for field in sorted(change.before.keys() | change.after.keys())
        ],
        synced_time=common.to_timestamp(change.synced_time),
        create_time=common.to_timestamp(change.create_time),
    )


def to_result(result: SyncResult) -> pb.SyncResult:
    return pb.SyncResult(
        provider_id=result.provider_id,
        models_discovered=result.models_discovered,
        models_added=result.models_added,
        models_updated=result.models_updated,
        models_unchanged=result.models_unchanged,
        models_missing=result.models_missing,
        models_invalid=result.models_invalid,
        synced_time=common.to_timestamp(result.synced_time),
        changes=[to_change(each) for each in result.changes],
    )


def to_progress(progress: SyncProgress) -> pb.SyncProgress:
    return pb.SyncProgress(
        stage=common.number(pb.SyncProgress.Stage, progress.stage),
        models_discovered=progress.models_discovered,
        models_processed=progress.models_processed,
        result=None if progress.result is None else to_result(progress.result),
    )


def _cost_tier(number: int) -> CostTier | None:
    return common.member(CostTier, pb.Model.CostTier, number)


_READERS: Mapping[str, Callable[[pb.Model], Any]] = {
    "display_name": lambda message: message.display_name,
    "model_type": lambda message: common.member(ModelType, pb.Model.Type, message.model_type),
    "capabilities": lambda message: tuple(message.capabilities),
    "domains": lambda message: tuple(message.domains),
    "priority": lambda message: common.optional(message, "priority"),
    "cost_tier": lambda message: _cost_tier(message.cost_tier),
    "context_length": lambda message: message.context_length or None,
    "max_output_tokens": lambda message: message.max_output_tokens or None,
    "price_state": lambda message: common.member(PriceState, pb.Model.PriceState, message.price_state),
    "input_price_usd": lambda message: common.decimal(message.input_price_usd),
    "output_price_usd": lambda message: common.decimal(message.output_price_usd),
    "cached_input_price_usd": lambda message: common.decimal(message.cached_input_price_usd),
    "parameters": lambda message: common.parameters(message.parameters),
    "available": lambda message: common.optional(message, "available"),
    "retire_time": lambda message: common.time(message, "retire_time"),
    "metadata": lambda message: common.struct(message, "metadata") or {},
}
_MUTABLE = Mutable(name="model", readers=_READERS, to_proto=to_proto)
