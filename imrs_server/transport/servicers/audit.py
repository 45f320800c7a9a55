"""AdminService: the audit log."""

from __future__ import annotations

from typing import TYPE_CHECKING

from imrs_client import v1 as pb
from imrs_server.transport.call import who
from imrs_server.transport.convert import audit as convert
from imrs_server.transport.convert.common import uuid

if TYPE_CHECKING:
    import grpc

    from imrs_server.transport.paging import Pager
    from imrs_server.use_cases.audit_trail import AuditTrail


class AuditMethods:
    """What AdminService says about the audit log."""

    audit_trail: AuditTrail
    pager: Pager

    def ListAuditEvents(
        self, request: pb.ListAuditEventsRequest, _context: grpc.ServicerContext
    ) -> pb.ListAuditEventsResponse:
        page = self.audit_trail.list(
            who(), uuid(request.tenant_id), self.pager.start(request), convert.audit_filter(request)
        )
        return pb.ListAuditEventsResponse(
            audit_events=[convert.to_proto(each) for each in page.items],
            next_page_token=self.pager.next_token(request, page),
            total_size=page.total_size,
        )
