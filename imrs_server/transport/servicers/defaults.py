"""AdminService: defaults."""

from __future__ import annotations

from typing import TYPE_CHECKING

from imrs_server.transport.call import committed, who
from imrs_server.transport.convert import defaults as convert
from imrs_server.transport.convert.common import uuid

if TYPE_CHECKING:
    import grpc

    from imrs_client import v1 as pb
    from imrs_server.use_cases.defaults import DefaultSettings


class DefaultsMethods:
    """What AdminService says about defaults."""

    defaults: DefaultSettings

    def GetDefaults(self, request: pb.GetDefaultsRequest, _context: grpc.ServicerContext) -> pb.Defaults:
        found = self.defaults.get(who(), uuid(request.tenant_id), convert.scope(request.scope))
        return convert.to_proto(found)

    def UpdateDefaults(self, request: pb.UpdateDefaultsRequest, context: grpc.ServicerContext) -> pb.Defaults:
        wanted = request.defaults
        written = self.defaults.update(
            who(),
            uuid(request.tenant_id),
            convert.scope(wanted.scope),
            convert.fields(wanted, request.update_mask.paths),
            etag=wanted.etag,
        )
        return convert.to_proto(committed(context, written))
