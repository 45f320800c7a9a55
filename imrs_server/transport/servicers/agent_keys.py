"""AdminService: keys of single agents."""

from __future__ import annotations

from typing import TYPE_CHECKING

from google.protobuf.empty_pb2 import Empty

from imrs_server.domain.secret import Secret
from imrs_server.transport.call import committed, who
from imrs_server.transport.convert.common import uuid

if TYPE_CHECKING:
    import grpc

    from imrs_client import v1 as pb
    from imrs_server.use_cases.agent_keys import AgentKeys


class AgentKeyMethods:
    """What AdminService says about keys of agents."""

    agent_keys: AgentKeys

    def SetAgentKey(self, request: pb.SetAgentKeyRequest, context: grpc.ServicerContext) -> Empty:
        tenant_id, api_key = uuid(request.tenant_id), Secret(request.api_key)
        written = self.agent_keys.set(who(), tenant_id, request.agent_id, request.provider_id, api_key)
        committed(context, written)
        return Empty()

    def DeleteAgentKey(self, request: pb.DeleteAgentKeyRequest, context: grpc.ServicerContext) -> Empty:
        tenant_id = uuid(request.tenant_id)
        written = self.agent_keys.delete(who(), tenant_id, request.agent_id, request.provider_id)
        committed(context, written)
        return Empty()
