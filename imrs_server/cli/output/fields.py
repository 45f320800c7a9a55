"""The fields of a message by their paths, `task.task_type`: which there are, and what they hold."""

from __future__ import annotations

import json
from functools import cache
from typing import TYPE_CHECKING, Any, Final

from google.protobuf import json_format
from google.protobuf.descriptor import FieldDescriptor

if TYPE_CHECKING:
    from google.protobuf.descriptor import Descriptor
    from google.protobuf.message import Message

TIMESTAMP: Final = "google.protobuf.Timestamp"
DURATION: Final = "google.protobuf.Duration"
LIST: Final = "imrs.v1.StringList"
_STRUCT: Final = "google.protobuf.Struct"
# Shown as one value each, whatever is inside.
_WHOLE: Final = frozenset(
    {
        TIMESTAMP,
        DURATION,
        LIST,
        _STRUCT,
        "google.protobuf.Value",
        "google.protobuf.FieldMask",
    }
)
_NUMBERS: Final = frozenset(
    {
        FieldDescriptor.CPPTYPE_INT32,
        FieldDescriptor.CPPTYPE_INT64,
        FieldDescriptor.CPPTYPE_DOUBLE,
        FieldDescriptor.CPPTYPE_FLOAT,
    }
)


@cache
def paths(kind: Descriptor) -> tuple[str, ...]:
    """Every field of a message, those of messages inside it too; what is never answered is left out."""
    return tuple(_paths(kind, "", (kind,)))


def is_map(field: FieldDescriptor) -> bool:
    return field.message_type is not None and bool(field.message_type.GetOptions().map_entry)


def is_whole(field: FieldDescriptor) -> bool:
    """Whether it is shown as one value: no message of several fields."""
    inner = field.message_type
    return inner is None or field.is_repeated or inner.full_name in _WHOLE


@cache
def field_of(kind: Descriptor, path: str) -> FieldDescriptor:
    """The field at a path. Raises KeyError where the message has none."""
    name, _, rest = path.partition(".")
    field = kind.fields_by_name[name]
    if not rest:
        return field
    if field.message_type is None or is_whole(field):
        raise KeyError(path)
    return field_of(field.message_type, rest)


def value(message: Message, path: str) -> Any:
    """What a message has at a path: a name for an enum, None for what is not set."""
    name, _, rest = path.partition(".")
    field = message.DESCRIPTOR.fields_by_name[name]
    if not field.is_repeated and field.has_presence and not message.HasField(name):
        return None
    found = getattr(message, name)
    if rest:
        return value(found, rest)
    return _named(field, found) if field.enum_type is not None and not field.is_repeated else found


def exact(message: Message, path: str) -> str:
    """The same as a text that loses nothing: times as ISO 8601, lists and objects as JSON, nothing as ''."""
    found = value(message, path)
    field = field_of(message.DESCRIPTOR, path)
    if found is None:
        return ""
    if isinstance(found, bool):
        return "true" if found else "false"
    if field.is_repeated:
        return compact(_repeated(field, found)) if found else ""
    if field.message_type is None:
        return str(found)
    if field.message_type.full_name in {TIMESTAMP, DURATION}:
        return str(found.ToJsonString())
    if field.message_type.full_name == LIST:
        return compact(list(found.values))
    told = as_dict(found)
    # The entries of a Struct come in any order.
    return compact(dict(sorted(told.items())) if field.message_type.full_name == _STRUCT else told)


def plain(message: Message, path: str) -> Any:
    """The same as JSON has it; None for what is not set."""
    found = value(message, path)
    if found is None or isinstance(found, (str, int, float, bool)):
        return found
    field = field_of(message.DESCRIPTOR, path)
    told = exact(message, path)
    whole = field.message_type is not None and field.message_type.full_name in {TIMESTAMP, DURATION}
    return told if whole and not field.is_repeated else json.loads(told or "[]")


def is_number(field: FieldDescriptor) -> bool:
    return not field.is_repeated and (field.cpp_type in _NUMBERS or field.name.endswith("_usd"))


def as_dict(message: Message) -> Any:
    """A message as JSON has it, by the API's own names, with every field that has a default."""
    return json_format.MessageToDict(
        message, preserving_proto_field_name=True, always_print_fields_with_no_presence=True
    )


def compact(found: Any) -> str:
    return json.dumps(found, ensure_ascii=False, separators=(",", ":"))


def _paths(kind: Descriptor, prefix: str, above: tuple[Descriptor, ...]) -> Any:
    for field in kind.fields:
        inner = field.message_type
        if field.GetOptions().debug_redact:
            continue
        if inner is None or is_whole(field) or inner in above:
            yield prefix + field.name
        else:
            yield from _paths(inner, f"{prefix}{field.name}.", (*above, inner))


def _named(field: Any, number: int) -> str | None:
    found = field.enum_type.values_by_number.get(number)
    if number == 0:
        return None
    return found.name if found else str(number)


def _repeated(field: Any, found: Any) -> Any:
    inner = field.message_type
    if inner is not None and is_map(field):
        told = inner.fields_by_name["value"]
        return {key: as_dict(each) if told.message_type else each for key, each in found.items()}
    if inner is not None:
        return [as_dict(each) for each in found]
    return [_named(field, each) for each in found] if field.enum_type is not None else list(found)
