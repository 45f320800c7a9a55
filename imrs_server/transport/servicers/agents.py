"""AdminService: agents."""

from __future__ import annotations

from typing import TYPE_CHECKING

from imrs_client import v1 as pb
from imrs_server.transport.call import committed, who
from imrs_server.transport.convert import agents as convert
from imrs_server.transport.convert.common import uuid

if TYPE_CHECKING:
    import grpc

    from imrs_server.transport.paging import Pager
    from imrs_server.use_cases.agents import Agents


class AgentMethods:
    """What AdminService says about agents."""

    agents: Agents
    pager: Pager

    def CreateAgent(self, request: pb.CreateAgentRequest, context: grpc.ServicerContext) -> pb.Agent:
        agent = request.agent
        written = self.agents.create(who(), uuid(request.tenant_id), agent.agent_id, convert.fields(agent))
        return convert.to_proto(committed(context, written))

    def GetAgent(self, request: pb.GetAgentRequest, _context: grpc.ServicerContext) -> pb.Agent:
        return convert.to_proto(self.agents.get(who(), uuid(request.tenant_id), request.agent_id))

    def ListAgents(
        self, request: pb.ListAgentsRequest, _context: grpc.ServicerContext
    ) -> pb.ListAgentsResponse:
        page = self.agents.list(
            who(),
            uuid(request.tenant_id),
            self.pager.start(request),
            agent_class=request.agent_class,
            state=convert.state(request.state),
            tag=request.tag,
            search=request.search,
            show_deleted=request.show_deleted,
        )
        return pb.ListAgentsResponse(
            agents=[convert.to_proto(each) for each in page.items],
            next_page_token=self.pager.next_token(request, page),
            total_size=page.total_size,
        )

    def UpdateAgent(self, request: pb.UpdateAgentRequest, context: grpc.ServicerContext) -> pb.Agent:
        agent = request.agent
        written = self.agents.update(
            who(),
            uuid(request.tenant_id),
            agent.agent_id,
            convert.fields(agent, request.update_mask.paths),
            etag=agent.etag,
            allow_missing=request.allow_missing,
        )
        return convert.to_proto(committed(context, written))

    def DeleteAgent(self, request: pb.DeleteAgentRequest, context: grpc.ServicerContext) -> pb.Agent:
        tenant_id = uuid(request.tenant_id)
        written = self.agents.delete(who(), tenant_id, request.agent_id, etag=request.etag)
        return convert.to_proto(committed(context, written))

    def UndeleteAgent(self, request: pb.UndeleteAgentRequest, context: grpc.ServicerContext) -> pb.Agent:
        tenant_id = uuid(request.tenant_id)
        written = self.agents.undelete(who(), tenant_id, request.agent_id, etag=request.etag)
        return convert.to_proto(committed(context, written))

    def CloneAgent(self, request: pb.CloneAgentRequest, context: grpc.ServicerContext) -> pb.Agent:
        tenant_id = uuid(request.tenant_id)
        written = self.agents.clone(who(), tenant_id, request.agent_id, request.new_agent_id)
        return convert.to_proto(committed(context, written))

    def SetModelOverride(
        self, request: pb.SetModelOverrideRequest, context: grpc.ServicerContext
    ) -> pb.Agent:
        tenant_id = uuid(request.tenant_id)
        written = self.agents.set_override(who(), tenant_id, request.agent_id, request.model_id)
        return convert.to_proto(committed(context, written))

    def ClearModelOverride(
        self, request: pb.ClearModelOverrideRequest, context: grpc.ServicerContext
    ) -> pb.Agent:
        written = self.agents.clear_override(who(), uuid(request.tenant_id), request.agent_id)
        return convert.to_proto(committed(context, written))
