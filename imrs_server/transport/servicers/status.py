"""AdminService: how the server is doing."""

from __future__ import annotations

from typing import TYPE_CHECKING

from imrs_server.transport.call import who
from imrs_server.transport.convert import status as convert

if TYPE_CHECKING:
    import grpc

    from imrs_client import v1 as pb
    from imrs_server.use_cases.status import StatusReport


class StatusMethods:
    """What AdminService says about itself."""

    status: StatusReport

    def GetStatus(
        self, _request: pb.GetStatusRequest, _context: grpc.ServicerContext
    ) -> pb.GetStatusResponse:
        return convert.to_proto(self.status.get(who()))
