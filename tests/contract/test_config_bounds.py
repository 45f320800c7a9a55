"""A configuration file takes what the API takes: the schema's bounds are those of the validation table."""

# ruff: noqa: E501  (samples side by side)

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Annotated, Any

import pytest
from google.protobuf import duration_pb2, struct_pb2
from pydantic import TypeAdapter, ValidationError

from imrs_client import v1 as pb
from imrs_client.task_rules import Rules
from imrs_server.config_file import schema
from imrs_server.domain.budget import Wanted
from imrs_server.domain.parameters import Parameters
from imrs_server.domain.provider import DataPolicy
from imrs_server.domain.routing import RoutingPolicy
from imrs_server.transport.validation import rule_of
from imrs_server.use_cases.configuration.agency import AgentKind, AgentModelKind, RuleKind
from imrs_server.use_cases.configuration.catalogue import ModelKind, PreferenceKind, ProviderKind
from imrs_server.use_cases.defaults import MUTABLE

if TYPE_CHECKING:
    from collections.abc import Collection

PARTS: dict[Any, Any] = {
    schema.Agent: pb.Agent,
    schema.AgentModel: pb.AgentModel,
    schema.DataPolicy: pb.DataPolicy,
    schema.Budget: pb.Budget,
    schema.Defaults: pb.Defaults,
    schema.Endpoint: pb.Endpoint,
    schema.Model: pb.Model,
    schema.Parameters: pb.Parameters,
    schema.Preference: pb.Preference,
    schema.Provider: pb.Provider,
    schema.RoutingPolicy: pb.RoutingPolicy,
    schema.Rule: pb.ModelFilter,
    schema.TaskRules: pb.TaskRules,
}
# Not fields of that message: document 003's names, and what stands elsewhere in the API.
ELSEWHERE = {
    "model", "provider", "temperature", "max_tokens", "cost_per_1m_tokens", "context_window", "langsmith_project",
    "models", "priority_override",
}  # fmt: skip
TEXTS = [
    "a", "A", "a" * 50, "a" * 51, "a" * 64, "a" * 65, "a" * 255, "a" * 256, "a" * 1000, "a" * 1001, "a" * 8001, "x y",
    "ä", "a\n", "a\tb", "\n", "a\x00b", "\x7f", "\x85", "\u2028", "\u200d", "-a", "/a", "//", "p/m", "p/m\n", "P/m",
    "p/" + "m" * 253, "p/" + "m" * 254, "https://x.example/v1", "https://x.example/" + "a" * 2100, "openai", "mistral",
    "0.5", "0.1234567891", "1000000000", "-1", "1e3",
]  # fmt: skip
NUMBERS = [-1, -0.1, 0, 0.5, 1, 1.5, 2, 2.1, 59, 60, 100, 101, 2**31 - 1, 2**31]


def fields() -> list[tuple[Any, str]]:
    return [(part, name) for part in PARTS for name in part.model_fields if name not in ELSEWHERE]


def taken(adapter: TypeAdapter[Any], value: Any) -> bool:
    try:
        adapter.validate_python(value, strict=True)
    except ValidationError:
        return False
    return True


def samples(field: Any) -> list[tuple[Any, Any]]:
    """What a file may say, and what the same is in a request."""
    if field.message_type is not None and field.message_type.full_name == "google.protobuf.Duration":
        return [
            (n, duration_pb2.Duration(seconds=n)) for n in (0, 1, 59, 60, 366 * 86400, 366 * 86400 + 1, 10**9)
        ]
    if field.message_type is not None and field.message_type.full_name == "google.protobuf.Struct":
        deep: Any = {}
        for _ in range(16):
            deep = {"a": deep}
        return [(each, _struct(each)) for each in ({}, {"a": [1, None, "x"]}, {"a": "x" * 70_000}, deep)]
    if field.message_type is not None and field.message_type.name == "StringList":
        return [([text], pb.StringList(values=[text])) for text in TEXTS] + [([], pb.StringList())]
    if field.message_type is not None and field.message_type.GetOptions().map_entry:
        value = field.message_type.fields_by_name["value"]
        if value.type == value.TYPE_DOUBLE:
            return [
                ({k: n}, {k: n}) for k in ("COPY", "copy", "EXPLICIT") for n in (-1, 0, 0.5, 1, 2, 100, 101)
            ]
        if value.message_type is not None:
            return [({k: [w]}, {k: pb.StringList(values=[w])}) for k in TEXTS for w in TEXTS[:12]]
        return [({k: v}, {k: v}) for k in TEXTS for v in [*TEXTS[:12], ""]]
    if field.message_type is not None or field.enum_type is not None or field.type == field.TYPE_BOOL:
        return []
    if field.is_repeated:
        return [([text], [text]) for text in TEXTS] + [(["ab"] * n, ["ab"] * n) for n in (1, 99, 101)]
    if field.type == field.TYPE_STRING:
        return [(text, text) for text in TEXTS]
    whole = field.type != field.TYPE_DOUBLE
    return [(n, n) for n in NUMBERS if not whole or isinstance(n, int)]


def _struct(value: Any) -> struct_pb2.Struct:
    found = struct_pb2.Struct()
    found.update(value)
    return found


@pytest.mark.parametrize(("part", "name"), fields(), ids=lambda each: getattr(each, "__name__", each))
def test_a_field_takes_the_same_in_a_file_and_in_a_request(part: Any, name: str) -> None:
    message = PARTS[part].DESCRIPTOR
    rule = rule_of(message.name, name)
    assert rule is not None
    info = part.model_fields[name]
    adapter: TypeAdapter[Any] = TypeAdapter(_annotated(info))
    for said, sent in samples(message.fields_by_name[name]):
        assert taken(adapter, said) == (not rule(sent)), said


def _annotated(info: Any) -> Any:
    return Annotated[(info.annotation, *info.metadata)] if info.metadata else info.annotation


WHOLE: list[tuple[Any, Collection[str]]] = [
    (schema.Agent, AgentKind.names),
    (schema.AgentModel, AgentModelKind.names),
    (schema.Budget, {each.name for each in dataclasses.fields(Wanted)} - {"budget_id"}),
    (schema.DataPolicy, {each.name for each in dataclasses.fields(DataPolicy)}),
    (schema.Defaults, MUTABLE),
    (schema.Endpoint, {"model_id", "base_url", "weight", "ttl"}),
    (schema.Model, ModelKind.names),
    (schema.Parameters, {each.name for each in dataclasses.fields(Parameters)}),
    (schema.Preference, PreferenceKind.names),
    (schema.Provider, ProviderKind.names),
    (schema.RoutingPolicy, {each.name for each in dataclasses.fields(RoutingPolicy)}),
    (schema.Rule, RuleKind.names),
    (schema.TaskRules, {each.name for each in dataclasses.fields(Rules)}),
]


@pytest.mark.parametrize(("part", "names"), WHOLE, ids=lambda each: getattr(each, "__name__", ""))
def test_a_file_can_say_all_that_an_export_may_have_to(part: Any, names: Collection[str]) -> None:
    """Whoever adds a field of a thing adds it to the schema too."""
    assert set(names) - set(part.model_fields) == set()


def test_every_name_is_one_of_the_api() -> None:
    for part, name in fields():
        assert name in PARTS[part].DESCRIPTOR.fields_by_name, (part, name)
