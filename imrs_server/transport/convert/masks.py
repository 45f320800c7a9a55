"""Update masks: which fields of a resource change, and which parts of them (AIP-134, FieldMask).

A path names a field of the resource, or goes on by dots into a message, a map or a JSON object. What it names
is taken as a whole from the message that came; what that leaves unset is cleared.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from google.protobuf.struct_pb2 import Struct

from imrs_server.domain.amendment import Amendment
from imrs_server.domain.errors import InvalidRequest, Violation
from imrs_server.transport.validation import is_walked, validate

if TYPE_CHECKING:
    from collections.abc import Sequence

    from google.protobuf.descriptor import FieldDescriptor
    from google.protobuf.message import Message

_Steps: TypeAlias = "tuple[str, ...]"

_EVERYTHING: Final = "*"
_NAME: Final = "update_mask"
_SHOWN: Final = 100
# A step that holds dots stands in backticks, as in labels.`cost.centre`; a backtick in it is doubled.
_STEP: Final = r"`(?:[^`]|``)+`|[^.`]+"
_PATH: Final = re.compile(rf"(?:{_STEP})(?:\.(?:{_STEP}))*")


@dataclass(frozen=True, slots=True, kw_only=True)
class Mutable:
    """What of a resource may change.

    ``name`` is its field in the request of an update; ``readers`` make the domain value of each field that
    may change from the message; ``to_proto`` makes the message of the domain's resource.
    """

    name: str
    readers: Mapping[str, Callable[[Any], Any]]
    to_proto: Callable[[Any], Any]

    def changes(self, message: Any, paths: Sequence[str]) -> dict[str, Any]:
        """The fields that an update is about: their domain values, or an Amendment where a part changes.

        ``paths`` are of ``update_mask``: none means the fields that are set, ``*`` all that may change.
        Raises InvalidRequest for any other path.
        """
        named: dict[str, list[_Steps] | None]
        if not paths:
            named = {field.name: None for field, _ in message.ListFields() if field.name in self.readers}
        elif list(paths) == [_EVERYTHING]:
            named = dict.fromkeys(self.readers)
        else:
            named = self._named(message.DESCRIPTOR, paths)
        return {
            field: self.readers[field](message) if parts is None else self._amendment(field, parts, message)
            for field, parts in named.items()
        }

    def _named(self, descriptor: Any, paths: Sequence[str]) -> dict[str, list[_Steps] | None]:
        """Field -> the paths of its parts that change; None where all of it does."""
        faults = [fault for path in dict.fromkeys(paths) if (fault := _fault(path, descriptor, self.readers))]
        if faults:
            raise InvalidRequest(*(Violation(_NAME, fault) for fault in faults))
        named: dict[str, list[_Steps] | None] = {}
        for field, *below in map(_split, paths):
            parts = named.setdefault(field, [])
            if not below:
                named[field] = None
            elif parts is not None:
                parts.append((field, *below))
        return named

    def _amendment(self, field: str, parts: Sequence[_Steps], message: Any) -> Amendment:
        def of(resource: Any) -> Any:
            amended = type(message)()
            _take(amended, self.to_proto(resource), field)
            # The longest last: a part that is named beside the whole of it has nothing to add.
            for steps in sorted(parts, key=len):
                _merge(amended, message, steps)
            validate(amended, within=f"{self.name}.")
            return self.readers[field](amended)

        return Amendment(of=of)


def _split(path: str) -> _Steps:
    return tuple(
        step[1:-1].replace("``", "`") if step[0] == "`" else step for step in re.findall(_STEP, path)
    )


def _fault(path: str, descriptor: Any, fields: Mapping[str, Any]) -> str:
    """What is wrong with a path, and what would be right; nothing for a good one."""
    if path == _EVERYTHING:
        return "* names everything, and stands alone"
    shown = path[:_SHOWN]
    if not _PATH.fullmatch(path):
        return f"{shown}: not a path such as labels.team; a key with dots stands in backticks"
    above = ""
    steps = _split(path)
    for i, step in enumerate(steps, 1):
        if step not in fields:
            right = ", ".join(sorted(fields))
            return f"{shown}: not one of {above}{{{right}}}" if above else f"{shown}: not one of {right}"
        field, above = descriptor.fields_by_name[step], f"{above}{step}."
        below = len(steps) - i
        if not below or _is_struct(field) or (_is_map(field) and below == 1):
            return ""
        if not is_walked(field) or field.is_repeated:
            inside = "an entry of it" if _is_map(field) else "it"
            return f"{shown}: goes too deep; name {above[:-1]}, {inside} changes as a whole"
        descriptor, fields = field.message_type, field.message_type.fields_by_name
    return ""


def _is_map(field: FieldDescriptor) -> bool:
    return field.message_type is not None and bool(field.message_type.GetOptions().map_entry)


def _is_struct(field: FieldDescriptor) -> bool:
    return field.message_type is not None and bool(field.message_type.full_name == "google.protobuf.Struct")


def _merge(message: Any, given: Any, steps: Sequence[str]) -> None:
    """Have what the steps name as ``given`` has it, set or not."""
    name, *below = steps
    field = message.DESCRIPTOR.fields_by_name[name]
    if not below:
        _take(message, given, name)
    elif _is_map(field):
        _merge_entry(getattr(message, name), getattr(given, name), below[0])
    else:
        part = type(getattr(message, name))()
        part.CopyFrom(getattr(message, name))
        (_merge_key if isinstance(part, Struct) else _merge)(part, getattr(given, name), below)
        # To clear what is inside of something unset does not set that.
        if message.HasField(name) or part.ListFields():
            getattr(message, name).CopyFrom(part)


def _merge_entry(entries: Any, given: Any, key: str) -> None:
    if key not in given:
        entries.pop(key, None)
    elif hasattr(given[key], "CopyFrom"):
        entries[key].CopyFrom(given[key])
    else:
        entries[key] = given[key]


def _merge_key(whole: Struct, given: Struct, keys: Sequence[str]) -> None:
    """The same of a JSON object; what is no object on the way becomes one to hold what is set."""
    key, *below = keys
    if not below:
        _merge_entry(whole.fields, given.fields, key)
        return
    part = Struct()
    is_object = key in whole.fields and whole.fields[key].WhichOneof("kind") == "struct_value"
    if is_object:
        part.CopyFrom(whole.fields[key].struct_value)
    _merge_key(part, given.fields[key].struct_value if key in given.fields else Struct(), below)
    if is_object or part.fields:
        whole.fields[key].struct_value.CopyFrom(part)


def _take(message: Message, given: Message, name: str) -> None:
    only = type(given)()
    only.CopyFrom(given)
    for field, _ in given.ListFields():
        if field.name != name:
            only.ClearField(field.name)
    message.ClearField(name)
    message.MergeFrom(only)
