"""AdminService: tenants."""

from __future__ import annotations

from typing import TYPE_CHECKING

from imrs_client import v1 as pb
from imrs_server.transport.call import committed, who
from imrs_server.transport.convert import tenants as convert

if TYPE_CHECKING:
    import grpc

    from imrs_server.transport.paging import Pager
    from imrs_server.use_cases.tenants import Tenants


class TenantMethods:
    """What AdminService says about tenants."""

    tenants: Tenants
    pager: Pager

    def SetTenant(self, request: pb.SetTenantRequest, context: grpc.ServicerContext) -> pb.Tenant:
        written = self.tenants.put(who(), convert.tenant(request.tenant))
        return convert.to_proto(committed(context, written))

    def ListTenants(
        self, request: pb.ListTenantsRequest, _context: grpc.ServicerContext
    ) -> pb.ListTenantsResponse:
        page = self.tenants.list(who(), self.pager.start(request))
        return pb.ListTenantsResponse(
            tenants=[convert.to_proto(each) for each in page.items],
            next_page_token=self.pager.next_token(request, page),
            total_size=page.total_size,
        )
