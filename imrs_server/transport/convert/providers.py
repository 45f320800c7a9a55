"""Provider messages and domain providers, both ways."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from imrs_client import v1 as pb
from imrs_server.domain.provider import DataPolicy, Provider, ProviderType, State, etag
from imrs_server.domain.secret import Secret
from imrs_server.transport.convert import common
from imrs_server.transport.convert.masks import Mutable

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from imrs_server.domain.provider_check import ProviderCheck


def to_proto(provider: Provider) -> pb.Provider:
    return pb.Provider(
        provider_id=provider.provider_id,
        display_name=provider.display_name,
        provider_type=common.number(pb.Provider.Type, provider.provider_type),
        dialect=provider.dialect,
        api_base=provider.api_base,
        models_endpoint=provider.models_endpoint,
        options=common.to_struct(provider.options or None),
        pool_url=provider.pool_url,
        api_key_vault_path=provider.api_key_vault_path,
        rate_limit_rpm=provider.rate_limit_rpm,
        sync_interval=common.to_duration(provider.sync_interval),
        data_policy=to_data_policy(provider.data_policy),
        state=common.number(pb.Provider.State, provider.state),
        model_count=provider.model_count,
        credentials_ok=provider.credentials_ok,
        last_synced_time=common.to_timestamp(provider.last_synced_time),
        last_sync_error=provider.last_sync_error,
        created_by=provider.created_by,
        create_time=common.to_timestamp(provider.create_time),
        update_time=common.to_timestamp(provider.update_time),
        delete_time=common.to_timestamp(provider.delete_time),
        etag=etag(provider.version),
    )


def new(message: pb.Provider) -> Provider:
    """A provider to create. An unset type is CUSTOM, an unset state ACTIVE."""
    return Provider(
        provider_id=message.provider_id,
        display_name=message.display_name,
        provider_type=provider_type(message.provider_type) or ProviderType.CUSTOM,
        dialect=message.dialect,
        api_base=message.api_base,
        models_endpoint=message.models_endpoint,
        options=common.struct(message, "options") or {},
        pool_url=message.pool_url,
        rate_limit_rpm=common.optional(message, "rate_limit_rpm"),
        sync_interval=common.duration(message, "sync_interval"),
        data_policy=data_policy(message, "data_policy"),
        state=state(message.state) or State.ACTIVE,
    )


def to_check(check: ProviderCheck) -> pb.CheckProviderResponse:
    return pb.CheckProviderResponse(
        reachable=check.reachable,
        authorized=check.authorized,
        model_count=check.model_count,
        latency_ms=check.latency_ms,
        detail=check.detail,
    )


def secret(api_key: str) -> Secret | None:
    return Secret(api_key) if api_key else None


def changes(message: pb.Provider, mask: list[str]) -> dict[str, Any]:
    """The fields that an update names, with their new values. Raises InvalidRequest for any other."""
    return _MUTABLE.changes(message, mask)


def provider_type(number: int) -> ProviderType | None:
    return common.member(ProviderType, pb.Provider.Type, number)


def state(number: int) -> State | None:
    return common.member(State, pb.Provider.State, number)


def to_data_policy(policy: DataPolicy | None) -> pb.DataPolicy | None:
    if policy is None:
        return None
    return pb.DataPolicy(
        regions=policy.regions, trains_on_data=policy.trains_on_data, retains_data=policy.retains_data
    )


def data_policy(message: Any, field: str) -> DataPolicy | None:
    """The policy in a field; None where it is not set."""
    if not message.HasField(field):
        return None
    found: pb.DataPolicy = getattr(message, field)
    return DataPolicy(
        regions=tuple(found.regions),
        trains_on_data=common.optional(found, "trains_on_data"),
        retains_data=common.optional(found, "retains_data"),
    )


_READERS: Mapping[str, Callable[[pb.Provider], Any]] = {
    "display_name": lambda message: message.display_name,
    "provider_type": lambda message: provider_type(message.provider_type) or ProviderType.CUSTOM,
    "dialect": lambda message: message.dialect,
    "api_base": lambda message: message.api_base,
    "models_endpoint": lambda message: message.models_endpoint,
    "options": lambda message: common.struct(message, "options") or {},
    "pool_url": lambda message: message.pool_url,
    "rate_limit_rpm": lambda message: common.optional(message, "rate_limit_rpm"),
    "sync_interval": lambda message: common.duration(message, "sync_interval"),
    "data_policy": lambda message: data_policy(message, "data_policy"),
    "state": lambda message: state(message.state) or State.ACTIVE,
}
_MUTABLE = Mutable(name="provider", readers=_READERS, to_proto=to_proto)
