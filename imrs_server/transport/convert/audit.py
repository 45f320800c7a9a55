"""The audit log, both ways."""

from __future__ import annotations

from typing import TYPE_CHECKING

from imrs_client import v1 as pb
from imrs_server.domain.audit import AuditFilter
from imrs_server.transport import access
from imrs_server.transport.convert import common

if TYPE_CHECKING:
    from imrs_server.domain.audit import AuditEvent

_SERVICES = {method: service for service, methods in access.ROLES.items() for method in methods}


def to_proto(event: AuditEvent) -> pb.AuditEvent:
    return pb.AuditEvent(
        event_id=str(event.event_id),
        tenant_id=str(event.tenant_id or ""),
        actor=event.actor,
        roles=event.roles,
        method=_qualified(event.method),
        request_id=event.request_id,
        target_type=event.target_type,
        target_id=event.target_id,
        before=common.to_struct(event.before),
        after=common.to_struct(event.after),
        create_time=common.to_timestamp(event.create_time),
    )


def audit_filter(request: pb.ListAuditEventsRequest) -> AuditFilter:
    """The filter of a request; its method with or without the service before it."""
    return AuditFilter(
        actor=request.actor,
        target_type=request.target_type,
        target_id=request.target_id,
        method=request.method.rpartition("/")[2],
        start_time=common.time(request, "start_time"),
        end_time=common.time(request, "end_time"),
    )


def _qualified(method: str) -> str:
    service = _SERVICES.get(method)
    return f"{service}/{method}" if service else method
