"""AdminService: providers and their keys."""

from __future__ import annotations

from typing import TYPE_CHECKING

from imrs_client import v1 as pb
from imrs_server.domain.secret import Secret
from imrs_server.transport.call import committed, who
from imrs_server.transport.convert import providers as convert
from imrs_server.transport.convert.common import idempotency_key

if TYPE_CHECKING:
    import grpc

    from imrs_server.transport.paging import Pager
    from imrs_server.use_cases.provider_checks import ProviderChecks
    from imrs_server.use_cases.providers import Providers


class ProviderMethods:
    """What AdminService says about providers."""

    providers: Providers
    provider_checks: ProviderChecks
    pager: Pager

    def CreateProvider(self, request: pb.CreateProviderRequest, context: grpc.ServicerContext) -> pb.Provider:
        provider, key = convert.new(request.provider), idempotency_key("CreateProvider", request)
        api_key = convert.secret(request.provider.api_key)
        written = self.providers.create(
            who(), provider, api_key, key=key, validate_only=request.validate_only
        )
        return convert.to_proto(committed(context, written))

    def GetProvider(self, request: pb.GetProviderRequest, _context: grpc.ServicerContext) -> pb.Provider:
        return convert.to_proto(self.providers.get(who(), request.provider_id))

    def ListProviders(
        self, request: pb.ListProvidersRequest, _context: grpc.ServicerContext
    ) -> pb.ListProvidersResponse:
        page = self.providers.list(
            who(),
            self.pager.start(request),
            provider_type=convert.provider_type(request.provider_type),
            state=convert.state(request.state),
            show_deleted=request.show_deleted,
        )
        return pb.ListProvidersResponse(
            providers=[convert.to_proto(each) for each in page.items],
            next_page_token=self.pager.next_token(request, page),
            total_size=page.total_size,
        )

    def UpdateProvider(self, request: pb.UpdateProviderRequest, context: grpc.ServicerContext) -> pb.Provider:
        provider = request.provider
        fields = convert.changes(provider, list(request.update_mask.paths))
        written = self.providers.update(
            who(), provider.provider_id, fields, etag=provider.etag, validate_only=request.validate_only
        )
        return convert.to_proto(committed(context, written))

    def DeleteProvider(self, request: pb.DeleteProviderRequest, context: grpc.ServicerContext) -> pb.Provider:
        written = self.providers.delete(who(), request.provider_id, etag=request.etag)
        return convert.to_proto(committed(context, written))

    def UndeleteProvider(
        self, request: pb.UndeleteProviderRequest, context: grpc.ServicerContext
    ) -> pb.Provider:
        written = self.providers.undelete(who(), request.provider_id, etag=request.etag)
        return convert.to_proto(committed(context, written))

    def RotateProviderKey(
        self, request: pb.RotateProviderKeyRequest, context: grpc.ServicerContext
    ) -> pb.Provider:
        written = self.providers.rotate_key(who(), request.provider_id, Secret(request.api_key))
        return convert.to_proto(committed(context, written))

    def CheckProvider(
        self, request: pb.CheckProviderRequest, _context: grpc.ServicerContext
    ) -> pb.CheckProviderResponse:
        return convert.to_check(self.provider_checks.run(who(), request.provider_id))
