"""Values as people read them: rounded, in UTC, and harmless to a terminal."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from imrs_client import v1 as pb
from imrs_server.cli.output import fields

if TYPE_CHECKING:
    from google.protobuf.message import Message
    from google.protobuf.struct_pb2 import Value

NOTHING: Final = "-"
_MOST_ITEMS: Final = 4
_UNKNOWN_AT_ZERO: Final = frozenset({"context_length", "max_output_tokens", "memory_bytes"})
# Control characters, breaks of lines, marks of direction and lone surrogates; joiners are parts of words.
_HARMFUL: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
_UNITS: Final = ((86_400, "d"), (3_600, "h"), (60, "m"))


def told(message: Message, path: str, *, whole: bool = False) -> str:
    """What a message has at a path; long lists are cut unless it is wanted ``whole``."""
    found = fields.value(message, path)
    field = fields.field_of(message.DESCRIPTOR, path)
    if found is None or (isinstance(found, str) and not found):
        return NOTHING
    if field.is_repeated:
        if field.message_type is not None:
            return _objects(message, path, list(found))
        return _listed([_item(field, each) for each in found], whole=whole)
    kind = field.message_type.full_name if field.message_type is not None else ""
    if kind == fields.TIMESTAMP:
        return str(found.ToDatetime().strftime("%Y-%m-%d %H:%M:%S" if whole else "%Y-%m-%d %H:%M"))
    if kind == fields.DURATION:
        return duration(found.ToTimedelta().total_seconds())
    if kind == fields.LIST:
        return _listed(list(found.values), whole=whole)
    if kind:
        return harmless(fields.exact(message, path))
    return _scalar(found, path)


def details(message: Message) -> dict[str, str]:
    """All that a message says, by the paths of its fields; of maps each entry by itself."""
    found: dict[str, str] = {}
    for field, inside in message.ListFields():
        if field.GetOptions().debug_redact:
            continue
        if fields.is_map(field):
            below = {key: _entry(inside[key], key) for key in sorted(inside)}
        elif not fields.is_whole(field):
            below = details(inside)
        else:
            found[field.name] = told(message, field.name, whole=True)
            continue
        found |= {f"{field.name}.{harmless(name)}": each for name, each in below.items()}
    return found


def _entry(found: Any, key: str) -> str:
    if isinstance(found, pb.StringList):
        return _listed(list(found.values), whole=True)
    if hasattr(found, "DESCRIPTOR"):
        return harmless(fields.compact(fields.as_dict(found)))
    return (_scalar(found, key) if not isinstance(found, str) else harmless(found)) or NOTHING


def harmless(text: str) -> str:
    """A text of others without what would command the terminal, or turn round what is read."""
    return text if text.isprintable() else _HARMFUL.sub(_escaped, text)


def duration(seconds: float) -> str:
    """Such as 6h, 30m, 1d or 1.5s: the largest unit that is exact."""
    for size, unit in _UNITS:
        if seconds >= size and seconds % size == 0:
            return f"{seconds / size:,.0f}{unit}"
    return f"{seconds:,g}s"


def _escaped(found: re.Match[str]) -> str:
    return found[0].encode("unicode_escape").decode("ascii")


def _objects(message: Message, path: str, found: list[Any]) -> str:
    if found and isinstance(found[0], pb.FieldDiff):
        changes = [f"{each.field}: {_json(each.before)} -> {_json(each.after)}" for each in found]
        return harmless(", ".join(changes))
    if found and "model_id" in found[0].DESCRIPTOR.fields_by_name:
        return harmless(", ".join(each.model_id for each in found))
    return harmless(fields.exact(message, path)) or NOTHING


def _json(found: Value) -> str:
    return fields.compact(fields.as_dict(found))


def _scalar(found: Any, path: str) -> str:
    name = path.rpartition(".")[2]
    if isinstance(found, bool):
        return "yes" if found else "no"
    if isinstance(found, int):
        return NOTHING if not found and name in _UNKNOWN_AT_ZERO else f"{found:,}"
    if isinstance(found, float):
        decimals = 0 if name.endswith("_ms") else 1 if name.endswith("_count") else 3
        return f"{found:,.{decimals}f}"
    return harmless(str(found))


def _item(field: Any, each: Any) -> str:
    return field.enum_type.values_by_number[each].name if field.enum_type is not None else str(each)


def _listed(items: list[str], *, whole: bool) -> str:
    shown = items if whole else items[:_MOST_ITEMS]
    rest = f" and {len(items) - len(shown)} more" if len(items) > len(shown) else ""
    return harmless(", ".join(shown)) + rest or NOTHING
