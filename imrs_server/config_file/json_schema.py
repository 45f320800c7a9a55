"""The schema of a file for editors, as JSON Schema; and which part of it a path leads to."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, get_args

from imrs_server.config_file.kinds import Part
from imrs_server.config_file.schema import ConfigFile

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

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
    """The part of the schema that describes what stands at a path."""
    part: type[Part] = ConfigFile
    for step in path:
        field = part.model_fields.get(str(step))
        below = next(_parts(field.annotation), None) if field is not None else None
        # Keys of a mapping and positions in a list lead nowhere further.
        part = below or part
    return part


def _parts(annotation: Any) -> Iterator[type[Part]]:
    if isinstance(annotation, type) and issubclass(annotation, Part):
        yield annotation
        return
    for each in get_args(annotation):
        yield from _parts(each)
