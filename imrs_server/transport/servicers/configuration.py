"""AdminService: configuration files."""

from __future__ import annotations

from typing import TYPE_CHECKING

from imrs_client import v1 as pb
from imrs_server.domain.configuration import DEFAULT_SOURCE
from imrs_server.transport.call import committed, who
from imrs_server.transport.convert import configuration as convert
from imrs_server.transport.convert.common import uuid

if TYPE_CHECKING:
    import grpc

    from imrs_server.use_cases.configuration.apply import Configuration


class ConfigurationMethods:
    """What AdminService says about configuration files."""

    configuration: Configuration

    def ApplyConfig(
        self, request: pb.ApplyConfigRequest, context: grpc.ServicerContext
    ) -> pb.ApplyConfigResponse:
        written = self.configuration.apply(
            who(),
            uuid(request.tenant_id),
            request.yaml,
            source=request.source or DEFAULT_SOURCE,
            environment=request.environment,
            validate_only=request.validate_only,
            prune=request.prune,
        )
        plan = committed(context, written)
        return pb.ApplyConfigResponse(plan=[convert.to_change(each) for each in plan.changes])

    def UndoConfig(
        self, request: pb.UndoConfigRequest, context: grpc.ServicerContext
    ) -> pb.UndoConfigResponse:
        written = self.configuration.undo(
            who(),
            uuid(request.tenant_id),
            source=request.source or DEFAULT_SOURCE,
            validate_only=request.validate_only,
        )
        plan = committed(context, written)
        return pb.UndoConfigResponse(plan=[convert.to_change(each) for each in plan.changes])

    def ExportConfig(
        self, request: pb.ExportConfigRequest, _context: grpc.ServicerContext
    ) -> pb.ExportConfigResponse:
        return pb.ExportConfigResponse(yaml=self.configuration.export(who(), uuid(request.tenant_id)))
