"""Tenants, both ways."""

from __future__ import annotations

from uuid import UUID

from imrs_client import v1 as pb
from imrs_server.domain.tenant import Tenant
from imrs_server.transport.convert import common


def to_proto(tenant: Tenant) -> pb.Tenant:
    return pb.Tenant(
        tenant_id=str(tenant.tenant_id),
        display_name=tenant.display_name,
        create_time=common.to_timestamp(tenant.create_time),
    )


def tenant(message: pb.Tenant) -> Tenant:
    return Tenant(tenant_id=UUID(message.tenant_id), display_name=message.display_name)
