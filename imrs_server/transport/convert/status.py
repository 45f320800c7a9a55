"""How a server is doing."""

from __future__ import annotations

from typing import TYPE_CHECKING

from imrs_client import v1 as pb
from imrs_server.domain.breaker import SubjectKind
from imrs_server.transport.convert import common

if TYPE_CHECKING:
    from imrs_server.domain.breaker import Breaker
    from imrs_server.domain.provider import Provider
    from imrs_server.domain.status import Component, Replica, Status


def to_proto(status: Status) -> pb.GetStatusResponse:
    own = status.replica
    return pb.GetStatusResponse(
        version=own.version,
        index_revision=own.index_revision,
        index_age=common.to_duration(status.index_age),
        listener_connected=own.listener_connected,
        database=_component(status.database),
        vault=_component(status.vault),
        providers=[_provider(each) for each in status.providers],
        replicas=[_replica(each) for each in (own, *status.others)],
        cooldowns=[_cooldown(each) for each in status.breakers],
    )


def _component(component: Component) -> pb.ComponentStatus:
    return pb.ComponentStatus(
        state=common.number(pb.ComponentStatus.State, component.health),
        detail=component.detail,
        latency_ms=component.latency_ms,
        version=component.version,
        clock_ahead=common.to_duration(component.clock_ahead),
    )


def _provider(provider: Provider) -> pb.ProviderStatus:
    return pb.ProviderStatus(
        provider_id=provider.provider_id,
        state=common.number(pb.Provider.State, provider.state),
        credentials_ok=provider.credentials_ok,
        model_count=provider.model_count,
        last_synced_time=common.to_timestamp(provider.last_synced_time),
        last_sync_error=provider.last_sync_error,
    )


def _cooldown(breaker: Breaker) -> pb.CooldownStatus:
    of_model = breaker.kind is SubjectKind.MODEL
    return pb.CooldownStatus(
        provider_id=breaker.subject_id.partition("/")[0],
        model_id=breaker.subject_id if of_model else "",
        state=common.number(pb.CooldownStatus.State, breaker.phase),
        cause=breaker.cause.value,
        share=breaker.share,
        openings=breaker.openings,
        since_time=common.to_timestamp(breaker.since_time),
        due_time=common.to_timestamp(breaker.due_time),
    )


def _replica(replica: Replica) -> pb.ReplicaStatus:
    return pb.ReplicaStatus(
        replica_id=replica.replica_id,
        version=replica.version,
        index_revision=replica.index_revision,
        listener_connected=replica.listener_connected,
        start_time=common.to_timestamp(replica.start_time),
        seen_time=common.to_timestamp(replica.seen_time),
    )
