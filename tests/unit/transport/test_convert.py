"""Messages become domain values, and domain values messages, without loss."""

from __future__ import annotations

from contextvars import copy_context
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING
from uuid import UUID

import pytest
from google.protobuf.struct_pb2 import Struct

from imrs_client import v1 as pb
from imrs_server.domain.errors import InvalidRequest
from imrs_server.domain.model import CostTier, Model, ModelType, PriceState
from imrs_server.domain.parameters import Parameters
from imrs_server.domain.sync import Action, ModelChange
from imrs_server.transport import call
from imrs_server.transport.convert import common, models
from tests.support.principals import PLATFORM

if TYPE_CHECKING:
    from imrs_server.storage.idempotency import Key

TIME = datetime(2026, 11, 21, 10, 30, 0, 123456, tzinfo=UTC)


def test_enums_match_by_name_and_unspecified_is_none() -> None:
    assert common.member(CostTier, pb.Model.CostTier, pb.Model.LOW) is CostTier.LOW
    assert common.member(CostTier, pb.Model.CostTier, 0) is None
    assert common.number(pb.Model.CostTier, CostTier.LOW) == pb.Model.LOW
    assert common.number(pb.Model.CostTier, None) == 0
    with pytest.raises(InvalidRequest):
        common.member(CostTier, pb.Model.CostTier, 99)


def test_times_and_lengths_keep_their_microseconds() -> None:
    model = pb.Model(retire_time=common.to_timestamp(TIME))
    assert common.time(model, "retire_time") == TIME
    assert common.time(pb.Model(), "retire_time") is None
    provider = pb.Provider(sync_interval=common.to_duration(timedelta(hours=1, microseconds=5)))
    assert common.duration(provider, "sync_interval") == timedelta(hours=1, microseconds=5)


def test_json_keeps_whole_numbers_whole() -> None:
    value = {"a": 1, "b": 0.5, "c": [True, None, "x", {"d": 10**15}], "e": {}}
    assert common.struct(pb.Model(metadata=common.to_struct(value)), "metadata") == value
    assert str(common.struct_value(common.to_struct({"a": 1}) or Struct())) == "{'a': 1}"
    assert common.struct(pb.Model(), "metadata") is None


@pytest.mark.parametrize(
    ("amount", "text"),
    [("0.150000000", "0.15"), ("1E-9", "0.000000001"), ("1E+2", "100"), ("0", "0"), ("10", "10")],
)
def test_money_is_written_plainly(amount: str, text: str) -> None:
    assert common.to_decimal_text(Decimal(amount)) == text
    assert common.decimal(text) == Decimal(amount)


def test_money_that_is_not_known_is_empty() -> None:
    assert common.to_decimal_text(None) == ""
    assert common.decimal("") is None


def test_parameters_tell_unset_from_empty() -> None:
    for value in (Parameters(), Parameters(temperature=0.0, stop=(), extra={"n": 1})):
        assert common.parameters(common.to_parameters(value)) == value


def test_an_empty_mask_means_the_fields_that_are_set() -> None:
    message = pb.Model(
        model_id="p/m", priority=0, available=False, etag="1", synced_time=common.to_timestamp(TIME)
    )
    assert models.changes(message, []) == {"priority": 0, "available": False}


def test_a_mask_names_fields_also_unset_ones() -> None:
    message = pb.Model(display_name="M", priority=7)
    assert models.changes(message, ["display_name", "retire_time"]) == {
        "display_name": "M",
        "retire_time": None,
    }


def test_a_star_names_every_field_that_may_change() -> None:
    fields = models.changes(pb.Model(display_name="M"), ["*"])
    assert fields["display_name"] == "M"
    assert fields["priority"] is None
    assert fields["capabilities"] == ()


@pytest.mark.parametrize("path", ["lifecycle", "model_id", "etag", "nonsense", "parameters.heat"])
def test_other_paths_are_refused_by_name(path: str) -> None:
    with pytest.raises(InvalidRequest, match=path):
        models.changes(pb.Model(), ["priority", path])


def test_a_key_is_bound_to_the_caller_and_to_the_request_without_its_id() -> None:
    def key(request: pb.CreateProviderRequest) -> Key | None:
        context = copy_context()
        context.run(call.principal.set, PLATFORM)
        return context.run(common.idempotency_key, "CreateProvider", request)

    provider = pb.Provider(provider_id="p")
    first = key(pb.CreateProviderRequest(request_id="r", provider=provider))
    assert first is not None
    assert (first.method, first.caller, first.request_id) == ("CreateProvider", PLATFORM.subject, "r")
    renamed = key(pb.CreateProviderRequest(request_id="s", provider=provider))
    assert renamed is not None
    assert renamed.request_hash == first.request_hash
    other = key(pb.CreateProviderRequest(request_id="r"))
    assert other is not None
    assert other.request_hash != first.request_hash
    assert key(pb.CreateProviderRequest(provider=provider)) is None


def test_a_model_arrives_as_it_is() -> None:
    message = models.to_proto(
        Model(
            model_id="p/m",
            provider_id="p",
            external_id="m",
            display_name="M",
            model_type=ModelType.EMBEDDING,
            capabilities=("text",),
            cost_tier=CostTier.LOW,
            context_length=4096,
            price_state=PriceState.PRICE_KNOWN,
            input_price_usd=Decimal("0.150000000"),
            output_price_usd=Decimal(1),
            available=False,
            provenance={"priority": "ADMIN"},
            metadata={"n": 1},
            synced_time=TIME,
            version=31,
        )
    )
    assert message.model_type == pb.Model.EMBEDDING
    assert (message.input_price_usd, message.output_price_usd, message.cached_input_price_usd) == (
        "0.15",
        "1",
        "",
    )
    assert message.HasField("available")
    assert not message.available
    assert message.provenance == {"priority": "ADMIN"}
    assert message.etag == "1f"
    assert not message.HasField("delete_time")
    assert models.given(message)["context_length"] == 4096


def test_a_change_shows_each_field_before_and_after() -> None:
    change = models.to_change(
        ModelChange(
            change_id=UUID(int=1),
            provider_id="p",
            model_id="p/m",
            action=Action.UPDATED,
            before={"context_length": 1, "retire_time": None},
            after={"context_length": 2, "retire_time": "2027-01-01"},
        )
    )
    assert [diff.field for diff in change.diffs] == ["context_length", "retire_time"]
    assert (change.diffs[0].before.number_value, change.diffs[0].after.number_value) == (1, 2)
    assert change.diffs[1].before.HasField("null_value")
