"""Members of a JSON object that came in, each of the type that it must have."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from google.protobuf import json_format
from google.protobuf.struct_pb2 import Struct

from imrs_client import v1 as pb
from imrs_server.console.door.refusals import Refused

if TYPE_CHECKING:
    from collections.abc import Mapping

_OWN = frozenset({"max_attempts", "timeout", "metadata"})
_AGENT = "agent:"


def text(found: Mapping[str, Any], name: str, at: str = "") -> str:
    """A text, empty where there is none. Raises Refused."""
    value = found.get(name)
    if value is None:
        return ""
    if not isinstance(value, str):
        raise Refused(f"{at}{name} must be a string.", param=f"{at}{name}")
    return value


def number(found: Mapping[str, Any], name: str) -> float | None:
    """Raises Refused."""
    value = found.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise Refused(f"{name} must be a number.", param=name)
    return value


def whole(found: Mapping[str, Any], name: str) -> int | None:
    """A whole number. Raises Refused."""
    value = number(found, name)
    if value is None:
        return None
    if value != int(value) or not 0 <= value < 1 << 31:
        raise Refused(f"{name} must be a whole number.", param=name)
    return int(value)


def table(found: Mapping[str, Any], name: str, at: str = "") -> dict[str, Any]:
    """An object, empty where there is none. Raises Refused."""
    value = found.get(name)
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise Refused(f"{at}{name} must be an object.", param=f"{at}{name}")
    return value


def tables(found: Mapping[str, Any], name: str, at: str = "") -> list[dict[str, Any]]:
    """A list of objects. Raises Refused."""
    value = found.get(name)
    if value is None:
        return []
    if not isinstance(value, list) or not all(isinstance(each, dict) for each in value):
        raise Refused(f"{at}{name} must be a list of objects.", param=f"{at}{name}")
    return value


def struct(value: Mapping[str, Any], param: str) -> Struct:
    """As protobuf has JSON. Raises Refused."""
    found = Struct()
    try:
        json_format.ParseDict(dict(value), found)
    except (json_format.ParseError, RecursionError):
        raise Refused(f"{param} is nested too deep, or no JSON.", param=param) from None
    return found


def route(found: Mapping[str, Any], request_id: str) -> pb.RouteRequest:
    """What `model` names: `agent:{agent_id}` the agent's choice, `agent:` that of the token's own agent.

    Anything else is the id of a model, and that one alone is taken of the token's agent's. Members of
    RouteRequest may stand in `imrs`. Raises Refused.
    """
    model = text(found, "model")
    if not model:
        raise Refused("model is needed: agent:{agent_id}, or the id of a model.", param="model")
    given = {name: value for name, value in table(found, "imrs").items() if name not in _OWN}
    asked = pb.RouteRequest()
    try:
        json_format.ParseDict(given, asked)
    except (json_format.ParseError, RecursionError) as error:
        raise Refused(f"imrs: {str(error)[:300]}", param="imrs") from None
    asked.request_id = asked.request_id or request_id
    if model.startswith(_AGENT):
        asked.agent_id = model.removeprefix(_AGENT)
    else:
        asked.allowed_models.CopyFrom(pb.StringList(values=[model]))
    return asked


def named_model(found: Mapping[str, Any]) -> str:
    """The model that is asked for; empty where it is an agent's choice."""
    model = text(found, "model")
    return "" if model.startswith(_AGENT) else model


def settings(found: Mapping[str, Any], asked: pb.CompleteRequest | pb.EmbedRequest) -> None:
    """What of `imrs` is not about the choice, and what is kept with the message. Raises Refused."""
    given = {name: value for name, value in table(found, "imrs").items() if name in _OWN}
    try:
        json_format.ParseDict(given, asked)
    except (json_format.ParseError, RecursionError) as error:
        raise Refused(f"imrs: {str(error)[:300]}", param="imrs") from None
    kept = table(found, "metadata")
    if user := text(found, "user"):
        kept = {"user": user, **kept}
    if kept:
        asked.metadata.MergeFrom(struct(kept, "metadata"))
