"""What many messages have in common: enums, times, money, JSON, parameters and idempotency keys."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any, TypeVar
from uuid import UUID

from google.protobuf import duration_pb2, struct_pb2, timestamp_pb2

from imrs_client import v1 as pb
from imrs_server.domain.errors import InvalidRequest, Violation
from imrs_server.domain.parameters import Parameters
from imrs_server.storage.idempotency import Key
from imrs_server.transport.call import who

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from enum import StrEnum

    from google.protobuf.internal.enum_type_wrapper import _EnumTypeWrapper
    from google.protobuf.message import Message

E = TypeVar("E", bound="StrEnum")

_EXACT_INTEGERS = 2**53
_NANOS_PER_MICROSECOND = 1000


def member(cls: type[E], wrapper: _EnumTypeWrapper[Any], number: int) -> E | None:
    """The domain's member of the same name; None for the unspecified one.

    Raises InvalidRequest for a number that the contract does not know.
    """
    if number == 0:
        return None
    name = wrapper.DESCRIPTOR.values_by_number.get(number)
    if name is None:
        raise InvalidRequest(Violation(wrapper.DESCRIPTOR.name, f"{number} is none of its values"))
    return cls(name.name)


def number(wrapper: _EnumTypeWrapper[Any], value: StrEnum | None) -> Any:
    """The contract's number of a domain value; 0, the unspecified one, for None."""
    return 0 if value is None else wrapper.Value(value.value)


def optional(message: Message, field: str) -> Any:
    """The value of a field with presence, None where it is not set."""
    return getattr(message, field) if message.HasField(field) else None


def uuid(text: str) -> UUID | None:
    """An id; None where it is empty. The validation table has seen to its form."""
    return UUID(text) if text else None


def to_timestamp(time: datetime | None) -> timestamp_pb2.Timestamp | None:
    """A timezone-aware time, to the microsecond."""
    if time is None:
        return None
    stamp = timestamp_pb2.Timestamp()
    stamp.FromDatetime(time)
    return stamp


def time(message: Message, field: str) -> datetime | None:
    """The time in a field, in UTC and to the microsecond; None where it is not set."""
    if not message.HasField(field):
        return None
    stamp: timestamp_pb2.Timestamp = getattr(message, field)
    return stamp.ToDatetime(UTC)


def to_duration(length: timedelta | None) -> duration_pb2.Duration | None:
    if length is None:
        return None
    found = duration_pb2.Duration()
    found.FromTimedelta(length)
    return found


def duration(message: Message, field: str) -> timedelta | None:
    """The length in a field; None where it is not set."""
    if not message.HasField(field):
        return None
    found: duration_pb2.Duration = getattr(message, field)
    return timedelta(seconds=found.seconds, microseconds=found.nanos // _NANOS_PER_MICROSECOND)


def to_struct(value: Mapping[str, Any] | None) -> struct_pb2.Struct | None:
    if value is None:
        return None
    found = struct_pb2.Struct()
    found.update(value)
    return found


def struct(message: Message, field: str) -> dict[str, Any] | None:
    """The JSON object in a field; None where it is not set. Whole numbers come as int."""
    return struct_value(getattr(message, field)) if message.HasField(field) else None


def struct_value(value: struct_pb2.Struct) -> dict[str, Any]:
    """A Struct as plain JSON."""
    return {name: _plain(each) for name, each in value.fields.items()}


def to_value(value: Any) -> struct_pb2.Value:
    """Any JSON value."""
    holder = struct_pb2.Struct()
    holder.update({"value": value})
    return holder.fields["value"]


def to_decimal_text(amount: Decimal | None) -> str:
    """Money without exponent and without zeros at the end; empty for what is not known."""
    if amount is None:
        return ""
    text = f"{amount:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def decimal(text: str) -> Decimal | None:
    """Money; None where it is empty. The validation table has seen to its form."""
    return Decimal(text) if text else None


def to_string_list(values: Sequence[str] | None) -> pb.StringList | None:
    return None if values is None else pb.StringList(values=values)


def string_list(message: Message, field: str) -> tuple[str, ...] | None:
    """The values in a StringList; None where it is not set, as opposed to set and empty."""
    return tuple(getattr(message, field).values) if message.HasField(field) else None


def to_parameters(value: Parameters) -> pb.Parameters:
    return pb.Parameters(
        temperature=value.temperature,
        top_p=value.top_p,
        max_output_tokens=value.max_output_tokens,
        stop=to_string_list(value.stop),
        extra=to_struct(value.extra or None),
    )


def parameters(value: pb.Parameters) -> Parameters:
    return Parameters(
        temperature=optional(value, "temperature"),
        top_p=optional(value, "top_p"),
        max_output_tokens=optional(value, "max_output_tokens"),
        stop=string_list(value, "stop"),
        extra=struct(value, "extra") or {},
    )


def idempotency_key(method: str, request: Any) -> Key | None:
    """The caller's key of a write that has a ``request_id``; None without one."""
    if not request.request_id:
        return None
    same = type(request)()
    same.CopyFrom(request)
    same.ClearField("request_id")
    digest = hashlib.sha256(same.SerializeToString(deterministic=True)).digest()
    return Key(method=method, caller=who().subject, request_id=request.request_id, request_hash=digest)


def _plain(value: struct_pb2.Value) -> Any:
    kind = value.WhichOneof("kind")
    if kind == "struct_value":
        return struct_value(value.struct_value)
    if kind == "list_value":
        return [_plain(each) for each in value.list_value.values]
    if kind == "number_value":
        whole = value.number_value.is_integer() and abs(value.number_value) <= _EXACT_INTEGERS
        return int(value.number_value) if whole else value.number_value
    return None if kind in (None, "null_value") else getattr(value, kind)
