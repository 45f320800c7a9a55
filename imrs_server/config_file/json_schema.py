"""The schema of a file for editors, as JSON Schema; and which part of it a path leads to."""

from __future__ import annotations

from types import NoneType, UnionType
from typing import TYPE_CHECKING, Annotated, Any, Union, get_args, get_origin

from imrs_server.config_file.kinds import Part
from imrs_server.config_file.schema import ConfigFile

if TYPE_CHECKING:
    from collections.abc import Sequence

TITLE = "IMRS models.yaml"


def json_schema() -> dict[str, Any]:
    """Draft 2020-12."""
    found = ConfigFile.model_json_schema(mode="validation")
    found["$schema"] = "https://json-schema.org/draft/2020-12/schema"
    found["title"] = TITLE
    found["properties"]["environments"] = {
        "description": "Environment -> agent -> the fields that differ there; merged, then validated.",
        "type": "object",
        "additionalProperties": {
            "anyOf": [
                {"type": "object", "additionalProperties": {"$ref": "#/$defs/Agent"}},
                {"type": "null"},
            ]
        },
    }
    for name in ("Agent", "Defaults"):
        routing = found["$defs"][name]["properties"]["routing"]
        named = {"type": "string", "description": "The name of one in `policies`."}
        routing["anyOf"] = [{"$ref": routing.pop("$ref")}, named]
    for each in found["properties"].values():
        # An empty section is as good as none.
        if each.get("type") == "object" and "default" in each:
            each["type"] = ["object", "null"]
    return found


def part_at(path: Sequence[str | int]) -> type[Part]:
    """The part of the schema that describes what stands at a path, or the nearest above it."""
    part: type[Part] = ConfigFile
    found: Any = ConfigFile
    for step in path:
        found = _below(found, str(step))
        if _is_part(found):
            part = found
    return part


def _below(annotation: Any, step: str) -> Any:
    """What a field, an entry of a mapping or one of a list is; None where the schema does not say."""
    if _is_part(annotation):
        field = annotation.model_fields.get(step)
        return _bare(field.annotation) if field is not None else None
    # Of a mapping the values, of a list its only argument.
    arguments = get_args(annotation)
    return _bare(arguments[-1]) if arguments else None


def _bare(annotation: Any) -> Any:
    """A type without its bounds, and without the None that stands for nothing."""
    if get_origin(annotation) is Annotated:
        return _bare(get_args(annotation)[0])
    if get_origin(annotation) in (Union, UnionType):
        return _bare(next(each for each in get_args(annotation) if each is not NoneType))
    return annotation


def _is_part(annotation: Any) -> bool:
    return isinstance(annotation, type) and issubclass(annotation, Part)
