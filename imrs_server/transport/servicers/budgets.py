"""AdminService: budgets of agents and tenants."""

from __future__ import annotations

from typing import TYPE_CHECKING

from google.protobuf import empty_pb2

from imrs_client import v1 as pb
from imrs_server.transport.call import committed, who
from imrs_server.transport.convert import budgets as convert
from imrs_server.transport.convert.common import uuid

if TYPE_CHECKING:
    import grpc

    from imrs_server.transport.paging import Pager
    from imrs_server.use_cases.budgets import Budgets


class BudgetMethods:
    """What AdminService says about budgets."""

    budgets: Budgets
    pager: Pager

    def SetBudget(self, request: pb.SetBudgetRequest, context: grpc.ServicerContext) -> pb.Budget:
        told = request.budget
        written = self.budgets.put(who(), uuid(request.tenant_id), convert.wanted(told), etag=told.etag)
        return convert.to_proto(committed(context, written))

    def ListBudgets(
        self, request: pb.ListBudgetsRequest, _context: grpc.ServicerContext
    ) -> pb.ListBudgetsResponse:
        page = self.budgets.list(
            who(), uuid(request.tenant_id), self.pager.start(request), agent_id=request.agent_id
        )
        return pb.ListBudgetsResponse(
            budgets=[convert.to_proto(each) for each in page.items],
            next_page_token=self.pager.next_token(request, page),
            total_size=page.total_size,
        )

    def DeleteBudget(self, request: pb.DeleteBudgetRequest, context: grpc.ServicerContext) -> empty_pb2.Empty:
        committed(
            context,
            self.budgets.delete(who(), uuid(request.tenant_id), request.budget_id, etag=request.etag),
        )
        return empty_pb2.Empty()
