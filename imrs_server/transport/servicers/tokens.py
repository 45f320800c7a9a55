"""AdminService: tokens."""

from __future__ import annotations

from typing import TYPE_CHECKING
from uuid import UUID

from google.protobuf.empty_pb2 import Empty

from imrs_client import v1 as pb
from imrs_server.transport.call import committed, who
from imrs_server.transport.convert import common
from imrs_server.transport.convert import tokens as convert

if TYPE_CHECKING:
    import grpc

    from imrs_server.transport.paging import Pager
    from imrs_server.use_cases.tokens import Tokens


class TokenMethods:
    """What AdminService says about tokens."""

    tokens: Tokens
    pager: Pager

    def IssueToken(
        self, request: pb.IssueTokenRequest, context: grpc.ServicerContext
    ) -> pb.IssueTokenResponse:
        written = self.tokens.issue(
            who(),
            common.uuid(request.tenant_id),
            convert.roles(request.roles),
            agent_id=request.agent_id,
            lifetime=common.duration(request, "ttl"),
            subject=request.subject,
        )
        noted, signed = committed(context, written)
        return pb.IssueTokenResponse(
            token=signed,
            token_id=str(noted.token_id),
            expire_time=common.to_timestamp(noted.expire_time),
        )

    def ListTokens(
        self, request: pb.ListTokensRequest, _context: grpc.ServicerContext
    ) -> pb.ListTokensResponse:
        page = self.tokens.list(
            who(),
            common.uuid(request.tenant_id),
            self.pager.start(request),
            token_id=common.uuid(request.token_id),
            agent_id=request.agent_id,
            show_revoked=request.show_revoked,
        )
        return pb.ListTokensResponse(
            tokens=[convert.to_proto(each) for each in page.items],
            next_page_token=self.pager.next_token(request, page),
            total_size=page.total_size,
        )

    def RevokeToken(self, request: pb.RevokeTokenRequest, context: grpc.ServicerContext) -> Empty:
        token_id = UUID(request.token_id)
        committed(context, self.tokens.revoke(who(), common.uuid(request.tenant_id), token_id))
        return Empty()
