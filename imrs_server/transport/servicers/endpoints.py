"""AdminService: the model pool."""

from __future__ import annotations

from typing import TYPE_CHECKING

from google.protobuf import empty_pb2

from imrs_client import v1 as pb
from imrs_server.adapters.network import Deadline
from imrs_server.transport.call import committed, who
from imrs_server.transport.convert import endpoints as convert
from imrs_server.use_cases.loading import LOAD_SECONDS

if TYPE_CHECKING:
    import grpc

    from imrs_server.transport.paging import Pager
    from imrs_server.use_cases.endpoints import Endpoints


class EndpointMethods:
    """What AdminService says about the model pool."""

    endpoints: Endpoints
    pager: Pager

    def SetEndpoint(self, request: pb.SetEndpointRequest, context: grpc.ServicerContext) -> pb.Endpoint:
        written = self.endpoints.put(who(), convert.endpoint(request.endpoint))
        return convert.to_proto(committed(context, written))

    def ListEndpoints(
        self, request: pb.ListEndpointsRequest, _context: grpc.ServicerContext
    ) -> pb.ListEndpointsResponse:
        page = self.endpoints.list(
            who(), self.pager.start(request), model_id=request.model_id, state=convert.state(request.state)
        )
        return pb.ListEndpointsResponse(
            endpoints=[convert.to_proto(each) for each in page.items],
            next_page_token=self.pager.next_token(request, page),
            total_size=page.total_size,
        )

    def DeleteEndpoint(
        self, request: pb.DeleteEndpointRequest, context: grpc.ServicerContext
    ) -> empty_pb2.Empty:
        committed(context, self.endpoints.delete(who(), request.endpoint_id))
        return empty_pb2.Empty()

    def LoadEndpoint(self, request: pb.LoadEndpointRequest, context: grpc.ServicerContext) -> pb.Endpoint:
        deadline = Deadline(LOAD_SECONDS)
        # A load goes on for whoever else waits for it.
        context.add_callback(deadline.cut)
        return convert.to_proto(committed(context, self.endpoints.load(who(), request.endpoint_id, deadline)))

    def UnloadEndpoint(self, request: pb.UnloadEndpointRequest, context: grpc.ServicerContext) -> pb.Endpoint:
        return convert.to_proto(committed(context, self.endpoints.unload(who(), request.endpoint_id)))
