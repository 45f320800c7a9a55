"""CatalogService and SyncProvider as a client sees them."""

from __future__ import annotations

from time import monotonic
from typing import TYPE_CHECKING

import pytest
from google.protobuf.field_mask_pb2 import FieldMask
from google.protobuf.timestamp_pb2 import Timestamp

from imrs_client import Aborted, AlreadyExists, InvalidArgument, NotFound
from imrs_client.v1 import (
    BulkUpdateModelsRequest,
    CreateModelRequest,
    CreateProviderRequest,
    DeleteModelRequest,
    GetModelRequest,
    ListModelChangesRequest,
    ListModelsRequest,
    Model,
    ModelChange,
    ModelFilter,
    Provider,
    RevertSyncRequest,
    SyncProgress,
    SyncProviderRequest,
    UndeleteModelRequest,
    UpdateModelRequest,
)
from tests.support.catalogue import openrouter_body, openrouter_items
from tests.support.service import Service, serving
from tests.support.synced import item

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.conftest import Vault
    from tests.support.provider import FakeProvider


@pytest.fixture
def service(database: str, vault: Vault, upstream: FakeProvider) -> Iterator[Service]:
    """A server with one provider, `or`."""
    with serving(database, vault) as found:
        provider = Provider(
            provider_id="or", provider_type=Provider.OPENROUTER, api_base=upstream.url, api_key="sk-test"
        )
        found.platform.admin.CreateProvider(CreateProviderRequest(provider=provider))
        yield found


def test_a_model_is_made_changed_deleted_and_brought_back(service: Service) -> None:
    platform = service.platform
    wanted = Model(
        provider_id="or", external_id="mine", priority=0, input_price_usd="0.15", output_price_usd="0.6"
    )
    made = platform.catalog.CreateModel(CreateModelRequest(model=wanted))
    assert (made.model_id, made.priority, made.cost_tier) == ("or/mine", 0, Model.LOW)
    assert (made.input_price_usd, made.price_state) == ("0.15", Model.PRICE_KNOWN)
    assert made.provenance["priority"] == "ADMIN"
    revision = platform.last_revision
    with pytest.raises(AlreadyExists) as taken:
        platform.catalog.CreateModel(CreateModelRequest(model=wanted))
    assert taken.value.reason == "MODEL_EXISTS"

    change = Model(model_id="or/mine", display_name="Mine", priority=9, etag=made.etag)
    updated = platform.catalog.UpdateModel(
        UpdateModelRequest(model=change, update_mask=FieldMask(paths=["display_name", "capabilities"]))
    )
    assert (updated.display_name, updated.priority) == ("Mine", 0)
    assert updated.provenance["capabilities"] == "ADMIN"
    assert platform.last_revision > revision
    with pytest.raises(InvalidArgument) as refused:
        platform.catalog.UpdateModel(
            UpdateModelRequest(model=change, update_mask=FieldMask(paths=["lifecycle"]))
        )
    assert refused.value.reason == "INVALID_REQUEST"

    assert platform.catalog.DeleteModel(DeleteModelRequest(model_id="or/mine")).HasField("delete_time")
    assert list(service.tenant.catalog.ListModels(ListModelsRequest()).models) == []
    assert service.tenant.catalog.GetModel(GetModelRequest(model_id="or/mine")).HasField("delete_time")
    back = platform.catalog.UndeleteModel(UndeleteModelRequest(model_id="or/mine"))
    assert not back.HasField("delete_time")
    with pytest.raises(NotFound) as missing:
        platform.catalog.GetModel(GetModelRequest(model_id="or/none"))
    assert missing.value.reason == "MODEL_NOT_FOUND"


def test_a_bulk_update_needs_a_filter_and_something_to_do(service: Service) -> None:
    platform = service.platform
    for name in ("a", "b"):
        platform.catalog.CreateModel(CreateModelRequest(model=Model(provider_id="or", external_id=name)))
    update = BulkUpdateModelsRequest.Update(priority=7)
    with pytest.raises(InvalidArgument):
        platform.catalog.BulkUpdateModels(BulkUpdateModelsRequest(update=update))
    with pytest.raises(InvalidArgument):
        platform.catalog.BulkUpdateModels(
            BulkUpdateModelsRequest(filter=ModelFilter(), update=BulkUpdateModelsRequest.Update())
        )
    done = platform.catalog.BulkUpdateModels(BulkUpdateModelsRequest(filter=ModelFilter(), update=update))
    assert (done.matched_count, done.updated_count) == (2, 2)


def test_a_sync_streams_its_steps_and_its_history_can_be_read(
    service: Service, upstream: FakeProvider
) -> None:
    platform = service.platform
    upstream.body = openrouter_body(openrouter_items()[:1100])
    request = SyncProviderRequest(provider_id="or", validate_only=True)
    *_, previewed = platform.admin.SyncProvider(request)
    assert (previewed.result.models_added, len(previewed.result.changes)) == (1100, 1000)
    assert not previewed.result.HasField("synced_time")

    steps = list(platform.admin.SyncProvider(SyncProviderRequest(provider_id="or")))
    assert {SyncProgress.Stage.Name(step.stage) for step in steps} == {
        "FETCHING",
        "COMPARING",
        "WRITING",
        "DONE",
    }
    assert steps[-1].result.models_added == 1100
    service.settled(platform)

    changes = list(
        platform.paginate(platform.catalog.ListModelChanges, ListModelChangesRequest(provider_id="or"))
    )
    assert len(changes) == 1100
    assert {change.action for change in changes} == {ModelChange.ADDED}
    assert changes[0].synced_time == steps[-1].result.synced_time
    diffs = {diff.field: diff for diff in changes[0].diffs}
    assert diffs["lifecycle"].after.string_value == "ACTIVE"
    assert diffs["lifecycle"].before.HasField("null_value")


def test_a_sync_is_undone_by_its_time(service: Service, upstream: FakeProvider) -> None:
    platform = service.platform
    for names in ("ab", "abc"):
        upstream.body = openrouter_body([item(name) for name in names])
        *_, last = platform.admin.SyncProvider(SyncProviderRequest(provider_id="or"))
    request = RevertSyncRequest(provider_id="or", synced_time=last.result.synced_time)
    result = platform.admin.RevertSync(request)
    assert (result.models_discovered, result.models_updated) == (1, 1)
    assert service.tenant.catalog.GetModel(GetModelRequest(model_id="or/c")).lifecycle == Model.RETIRED
    assert platform.admin.RevertSync(request).models_updated == 0
    service.settled(platform)
    with pytest.raises(InvalidArgument):
        platform.admin.RevertSync(RevertSyncRequest(provider_id="or", synced_time=Timestamp(seconds=1)))


def test_a_thousand_models_fit_into_one_page(service: Service, upstream: FakeProvider) -> None:
    upstream.body = openrouter_body(openrouter_items()[:1500])
    list(service.platform.admin.SyncProvider(SyncProviderRequest(provider_id="or")))
    page = service.tenant.catalog.ListModels(ListModelsRequest(page_size=1000))
    assert (len(page.models), page.total_size) == (1000, 1500)
    assert page.ByteSize() < 4 << 20
    rest = ListModelsRequest(page_size=1000, page_token=page.next_page_token)
    assert len(service.tenant.catalog.ListModels(rest).models) == 500


def test_a_caller_who_leaves_lets_the_next_sync_start(service: Service, upstream: FakeProvider) -> None:
    upstream.body = openrouter_body(openrouter_items()[:2000])
    platform, request = service.platform, SyncProviderRequest(provider_id="or")
    steps = platform.admin.SyncProvider(request)
    next(steps)
    steps.cancel()
    deadline = monotonic() + 60
    while True:
        try:
            *_, last = platform.admin.SyncProvider(request)
        except Aborted as error:
            assert error.reason == "SYNC_IN_PROGRESS"  # noqa: PT017  (only while the first one ends)
            assert monotonic() < deadline
        else:
            break
    assert last.result.models_discovered == 2000
