"""AdminService: what agents may use, and their standing rules."""

from __future__ import annotations

from typing import TYPE_CHECKING
from uuid import UUID

from google.protobuf import empty_pb2

from imrs_client import v1 as pb
from imrs_server.transport.call import committed, who
from imrs_server.transport.convert import agent_models as convert
from imrs_server.transport.convert.common import uuid
from imrs_server.transport.convert.model_filters import model_filter

if TYPE_CHECKING:
    import grpc

    from imrs_server.transport.paging import Pager
    from imrs_server.use_cases.agent_models import AgentModels


class AgentModelMethods:
    """What AdminService says about the models of an agent."""

    agent_models: AgentModels
    pager: Pager

    def ListAgentModels(
        self, request: pb.ListAgentModelsRequest, _context: grpc.ServicerContext
    ) -> pb.ListAgentModelsResponse:
        page, total_enabled = self.agent_models.list(
            who(),
            uuid(request.tenant_id),
            request.agent_id,
            self.pager.start(request),
            effective=request.effective,
        )
        return pb.ListAgentModelsResponse(
            models=[convert.to_proto(each) for each in page.items],
            next_page_token=self.pager.next_token(request, page),
            total_size=page.total_size,
            total_enabled=total_enabled,
        )

    def EnableAgentModels(
        self, request: pb.EnableAgentModelsRequest, context: grpc.ServicerContext
    ) -> pb.EnableAgentModelsResponse:
        written = self.agent_models.enable(
            who(),
            uuid(request.tenant_id),
            request.agent_id,
            model_ids=request.model_ids,
            filter=model_filter(request),
            standing=request.standing,
            validate_only=request.validate_only,
        )
        return convert.to_enabled(committed(context, written))

    def DisableAgentModels(
        self, request: pb.DisableAgentModelsRequest, context: grpc.ServicerContext
    ) -> pb.DisableAgentModelsResponse:
        written = self.agent_models.disable(
            who(),
            uuid(request.tenant_id),
            request.agent_id,
            model_ids=request.model_ids,
            filter=model_filter(request),
            all=request.all,
        )
        return pb.DisableAgentModelsResponse(disabled_count=committed(context, written))

    def UpdateAgentModel(
        self, request: pb.UpdateAgentModelRequest, context: grpc.ServicerContext
    ) -> pb.AgentModel:
        model = request.agent_model
        fields = convert.fields(model, request.update_mask.paths)
        written = self.agent_models.update(
            who(), uuid(request.tenant_id), model.agent_id, model.model_id, fields
        )
        return convert.to_proto(committed(context, written))

    def ListAgentRules(
        self, request: pb.ListAgentRulesRequest, _context: grpc.ServicerContext
    ) -> pb.ListAgentRulesResponse:
        page = self.agent_models.list_rules(
            who(), uuid(request.tenant_id), request.agent_id, self.pager.start(request)
        )
        return pb.ListAgentRulesResponse(
            agent_rules=[convert.to_rule(each) for each in page.items],
            next_page_token=self.pager.next_token(request, page),
            total_size=page.total_size,
        )

    def DeleteAgentRule(
        self, request: pb.DeleteAgentRuleRequest, context: grpc.ServicerContext
    ) -> empty_pb2.Empty:
        written = self.agent_models.delete_rule(
            who(), uuid(request.tenant_id), request.agent_id, UUID(request.rule_id)
        )
        committed(context, written)
        return empty_pb2.Empty()
