"""CatalogService: the global catalogue of models."""

from __future__ import annotations

from typing import TYPE_CHECKING

from imrs_client import v1 as pb
from imrs_server.domain.model import ModelFilter
from imrs_server.transport.call import committed, who
from imrs_server.transport.convert import common
from imrs_server.transport.convert import models as convert
from imrs_server.transport.convert.model_filters import model_filter

if TYPE_CHECKING:
    import grpc

    from imrs_server.transport.paging import Pager
    from imrs_server.use_cases.catalog import Catalog


class CatalogServicer(pb.CatalogServiceServicer):
    """All of CatalogService."""

    def __init__(self, catalog: Catalog, pager: Pager) -> None:
        self.catalog = catalog
        self.pager = pager

    def ListModels(
        self, request: pb.ListModelsRequest, _context: grpc.ServicerContext
    ) -> pb.ListModelsResponse:
        wanted = model_filter(request) or ModelFilter()
        page = self.catalog.list(who(), self.pager.start(request), wanted, show_deleted=request.show_deleted)
        return pb.ListModelsResponse(
            models=[convert.to_proto(each) for each in page.items],
            next_page_token=self.pager.next_token(request, page),
            total_size=page.total_size,
        )

    def GetModel(self, request: pb.GetModelRequest, _context: grpc.ServicerContext) -> pb.Model:
        return convert.to_proto(self.catalog.get(who(), request.model_id))

    def CreateModel(self, request: pb.CreateModelRequest, context: grpc.ServicerContext) -> pb.Model:
        model = request.model
        fields = convert.given(model)
        written = self.catalog.create(who(), model.provider_id, model.external_id, fields)
        return convert.to_proto(committed(context, written))

    def UpdateModel(self, request: pb.UpdateModelRequest, context: grpc.ServicerContext) -> pb.Model:
        model = request.model
        fields = convert.changes(model, list(request.update_mask.paths))
        written = self.catalog.update(who(), model.model_id, fields, etag=model.etag)
        return convert.to_proto(committed(context, written))

    def DeleteModel(self, request: pb.DeleteModelRequest, context: grpc.ServicerContext) -> pb.Model:
        written = self.catalog.delete(who(), request.model_id, etag=request.etag)
        return convert.to_proto(committed(context, written))

    def UndeleteModel(self, request: pb.UndeleteModelRequest, context: grpc.ServicerContext) -> pb.Model:
        written = self.catalog.undelete(who(), request.model_id, etag=request.etag)
        return convert.to_proto(committed(context, written))

    def BulkUpdateModels(
        self, request: pb.BulkUpdateModelsRequest, context: grpc.ServicerContext
    ) -> pb.BulkUpdateModelsResponse:
        wanted, update = model_filter(request) or ModelFilter(), convert.bulk_update(request.update)
        written = self.catalog.bulk_update(who(), wanted, update, validate_only=request.validate_only)
        result = committed(context, written)
        return pb.BulkUpdateModelsResponse(
            matched_count=result.matched_count, updated_count=result.updated_count
        )

    def ListModelChanges(
        self, request: pb.ListModelChangesRequest, _context: grpc.ServicerContext
    ) -> pb.ListModelChangesResponse:
        page = self.catalog.list_changes(
            who(),
            self.pager.start(request),
            model_id=request.model_id,
            provider_id=request.provider_id,
            start_time=common.time(request, "start_time"),
            end_time=common.time(request, "end_time"),
        )
        return pb.ListModelChangesResponse(
            model_changes=[convert.to_change(each) for each in page.items],
            next_page_token=self.pager.next_token(request, page),
            total_size=page.total_size,
        )
